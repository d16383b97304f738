"""The models a user has added: which directory a name stands for, and which model is taken where none is named.

A name means the model that was added under it last. What it meant before stays, for the results that were made with
it. Models that come with the program have no row here, and nothing here reads a directory.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, insert, select, update

from storage.engine import AnyRow, now
from storage.errors import UsageError
from storage.schema import models

#: Digits of a digest that name a model.
DIGEST_DIGITS = 8


@dataclass(frozen=True, slots=True)
class NewModel:
    """What is written down of a model."""

    #: 64 hex digits that stand for all that decides its results.
    digest: str
    name: str
    version: str
    #: `classifier` or `summarizer`.
    kind: str
    backend: str
    #: The absolute path of its directory.
    path: str
    label_set_id: int | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)


def register(connection: Connection, new: NewModel, *, as_default: bool = False) -> int:
    """Let a name stand for a model and return the id of its row; the same model again has its row brought up to date.

    The default of a kind stays the default when its name comes to stand for another model.
    Raises `UsageError` for a name or a version that no column holds.
    """
    _check(new)
    _lock(connection)
    live = connection.execute(select(models).where(_live(new.kind), models.c.name == new.name)).one_or_none()
    if live is not None and live.digest == new.digest:
        model_id = int(live.id)
        # What its labels are was found out when it was first used.
        kept = {"label_set_id": new.label_set_id or live.label_set_id}
        connection.execute(update(models).where(models.c.id == model_id).values(**{**_values(new), **kept}))
    else:
        model_id = _put_in_place_of(connection, live, new)
    if as_default:
        set_default(connection, new.kind, new.name)
    return model_id


def _check(new: NewModel) -> None:
    for what, text, width in (("name", new.name, 200), ("version", new.version, 50)):
        if not 0 < len(text) <= width or not text.isprintable():
            message = f"a model needs a {what} of 1 to {width} characters, not {text!r}"
            raise UsageError(message)


def _lock(connection: Connection) -> None:
    # Names and defaults are decided by what stands in the table; SQLite's transactions are alone anyway.
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"LOCK TABLE {models.name} IN SHARE ROW EXCLUSIVE MODE")


def _live(kind: str) -> ColumnElement[bool]:
    return (models.c.kind == kind) & models.c.superseded_at.is_(None)


def _values(new: NewModel) -> dict[str, Any]:
    return {
        "version": new.version,
        "backend": new.backend,
        "path": new.path,
        "label_set_id": new.label_set_id,
        "metrics": json.dumps(new.metrics, ensure_ascii=False, sort_keys=True),
    }


def _put_in_place_of(connection: Connection, live: AnyRow | None, new: NewModel) -> int:
    if live is not None:
        gone = {"superseded_at": now(), "is_default": False}
        connection.execute(update(models).where(models.c.id == live.id).values(**gone))
    values = {
        **_values(new),
        "digest": new.digest,
        "name": new.name,
        "kind": new.kind,
        "is_default": live is not None and live.is_default,
        "created_at": now(),
    }
    (model_id,) = connection.execute(insert(models).values(**values)).inserted_primary_key or (0,)
    return int(model_id)


def note_label_set(connection: Connection, digest: str, label_set_id: int) -> None:
    """Write down what a classifier's labels are, once they are known."""
    unknown = (models.c.digest == digest) & models.c.label_set_id.is_(None)
    connection.execute(update(models).where(unknown).values(label_set_id=label_set_id))


def set_default(connection: Connection, kind: str, name: str | None) -> None:
    """Let a model be taken where none is named; with no name, that of the program is taken again.

    Raises `UsageError` when nothing of that kind has the name.
    """
    _lock(connection)
    connection.execute(update(models).where(models.c.kind == kind, models.c.is_default).values(is_default=False))
    if name is None:
        return
    chosen = update(models).where(_live(kind), models.c.name == name).values(is_default=True)
    if connection.execute(chosen).rowcount == 0:
        message = f"there is no {kind} {name!r}; `hanmill models` lists them, `hanmill models add` adds one"
        raise UsageError(message)


def default_of(connection: Connection, kind: str) -> AnyRow | None:
    """Return the model that the user has made the default of a kind; None: that of the program is meant."""
    return connection.execute(select(models).where(_live(kind), models.c.is_default)).one_or_none()


def find(connection: Connection, kind: str, named: str) -> AnyRow | None:
    """Return the model that a name stands for, or else the one of an absolute directory or of a digest.

    A digest may be shortened to its first 8 digits.
    """
    for condition in (models.c.name == named, models.c.path == named, _has_digest(named)):
        statement = select(models).where(_live(kind), condition).order_by(models.c.id.desc()).limit(1)
        row = connection.execute(statement).one_or_none()
        if row is not None:
            return row
    return None


def _has_digest(named: str) -> ColumnElement[bool]:
    # Something too short to be a digest is that of no model.
    beginning = named.lower() if len(named) >= DIGEST_DIGITS else "-"
    return models.c.digest.startswith(beginning, autoescape=True)


def find_by_digest(connection: Connection, digest: str) -> AnyRow | None:
    """Return the model of a digest that was added last, its name now another's or not."""
    statement = select(models).where(models.c.digest == digest).order_by(models.c.id.desc()).limit(1)
    return connection.execute(statement).one_or_none()


def digests_of(connection: Connection, kind: str, named: str) -> set[str]:
    """Return the digests of every model that a name, a directory or a digest stands for or has stood for."""
    condition = (models.c.name == named) | (models.c.path == named) | _has_digest(named)
    return set(connection.scalars(select(models.c.digest).where(models.c.kind == kind, condition)))


def list_models(connection: Connection) -> list[dict[str, Any]]:
    """Return the models that names stand for, by kind and name."""
    statement = select(models).where(models.c.superseded_at.is_(None)).order_by(models.c.kind, models.c.name)
    rows = connection.execute(statement).mappings()
    return [{**row, "metrics": json.loads(row["metrics"])} for row in rows]
