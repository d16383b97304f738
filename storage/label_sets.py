"""Label sets: written once and never changed, so that a result means the same labels for ever."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from storage.engine import insert_new, now
from storage.errors import UsageError
from storage.schema import label_sets
from storage.schema import labels as label_rows

#: The widest name of a label, in characters.
NAME_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a set, and the position of the label that it implies, if any."""

    name: str
    parent: int | None = None


def register(connection: Connection, name: str, version: str, labels: Sequence[Label]) -> int:
    """Return the id of a label set, written if it is not there; the order of the labels is a part of it.

    Raises `UsageError` for a set that has no meaning: no label, a name twice, a parent that is none of them.
    """
    digest = _digest(labels)
    found = _find(connection, name, version, digest)
    if found is not None:
        return found
    _check(name, labels)
    row = {"name": name, "version": version, "digest": digest, "created_at": connection.scalar(select(now()))}
    insert_new(connection, label_sets, [row])
    label_set_id = _find(connection, name, version, digest) or 0
    rows = [
        {"label_set_id": label_set_id, "position": position, "name": label.name, "parent": label.parent}
        for position, label in enumerate(labels)
    ]
    # Whoever registers the same set just now has waited for the row above, and finds the labels there.
    insert_new(connection, label_rows, rows)
    return label_set_id


def _find(connection: Connection, name: str, version: str, digest: bytes) -> int | None:
    statement = select(label_sets.c.id).where(
        label_sets.c.name == name, label_sets.c.version == version, label_sets.c.digest == digest
    )
    return connection.scalar(statement)


def _check(name: str, labels: Sequence[Label]) -> None:
    times = Counter(label.name for label in labels)
    if not labels:
        message = f"the label set {name} has no label"
        raise UsageError(message)
    for label in labels:
        if not 0 < len(label.name) <= NAME_CHARACTERS or "\x00" in label.name or times[label.name] > 1:
            message = (
                f"the label set {name}: the label {label.name!r} stands in it twice, "
                f"or is not a name of 1 to {NAME_CHARACTERS} characters"
            )
            raise UsageError(message)
        if label.parent is not None and not _has_root(labels, label.parent):
            message = f"the label set {name}: the parents of {label.name!r} lead to no root; name one in the set"
            raise UsageError(message)


def _has_root(labels: Sequence[Label], position: int) -> bool:
    """Say whether the way up from a position ends, which it does in fewer steps than there are labels."""
    above: int | None = position
    for _ in labels:
        if above is None or not 0 <= above < len(labels):
            break
        above = labels[above].parent
    return above is None


def _digest(labels: Sequence[Label]) -> bytes:
    text = json.dumps([[label.name, label.parent] for label in labels], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).digest()


def labels_of(connection: Connection, label_set_id: int) -> list[Label]:
    """Return the labels of a set by position."""
    statement = (
        select(label_rows.c.name, label_rows.c.parent)
        .where(label_rows.c.label_set_id == label_set_id)
        .order_by(label_rows.c.position)
    )
    return [Label(row.name, row.parent) for row in connection.execute(statement)]


def label_ids(connection: Connection, label_set_id: int) -> list[int]:
    """Return the ids of a set's labels by position, as `document_labels` names them."""
    statement = select(label_rows.c.id).where(label_rows.c.label_set_id == label_set_id).order_by(label_rows.c.position)
    return list(connection.scalars(statement))
