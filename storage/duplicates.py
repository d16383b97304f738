"""Signatures of shards, and the groups of documents that say the same, by generation. Compares no text itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, and_, delete, select
from sqlalchemy.sql import func

from storage.duplicate_tables import duplicate_groups, duplicate_members, partial_signatures
from storage.engine import AnyRow, insert_new, load_rows
from storage.schema import sources
from storage.word_counts import current_generation

#: Shards whose parts are read by one statement.
CHUNK = 100
#: The operation whose generations hold groups.
OPERATION = "dedup"
GROUP_COLUMNS = ("generation_id", "number", "kind", "documents", "texts")
MEMBER_COLUMNS = (
    *("generation_id", "group_number", "number", "text_number", "similarity"),
    *("source_id", "source_version", "offset", "document_id", "key"),
)


class Known(NamedTuple):
    """What is known of a content that was read before."""

    documents: int
    dead: int


def find(connection: Connection, digest: bytes, fingerprint: str) -> Known | None:
    """Return the figures of a shard's signatures, or None when there are none."""
    statement = (
        select(partial_signatures.c.documents, partial_signatures.c.dead)
        .where(partial_signatures.c.digest == digest, partial_signatures.c.fingerprint == fingerprint)
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Known(*row)


def save(connection: Connection, digest: bytes, fingerprint: str, parts: Sequence[bytes], known: Known) -> None:
    """Store the parts of a shard's signatures; what is there already stays as it is, for it is the same."""
    common = {"digest": digest, "fingerprint": fingerprint, **known._asdict()}
    rows = [{**common, "part": part, "data": data} for part, data in enumerate(parts)]
    insert_new(connection, partial_signatures, rows)


def load_part(connection: Connection, fingerprint: str, digests: Sequence[bytes], part: int) -> Iterator[bytes]:
    """Yield one part of some shards, in their order.

    Raises `LookupError` when one is missing: somebody deleted it by hand, and nothing may be grouped without it.
    """
    for start in range(0, len(digests), CHUNK):
        chunk = digests[start : start + CHUNK]
        statement = select(partial_signatures.c.digest, partial_signatures.c.data).where(
            partial_signatures.c.digest.in_(chunk),
            partial_signatures.c.fingerprint == fingerprint,
            partial_signatures.c.part == part,
        )
        found = {bytes(row.digest): bytes(row.data) for row in connection.execute(statement)}
        for digest in chunk:
            if digest not in found:
                message = f"signatures {digest.hex()} of fingerprint {fingerprint} are not complete"
                raise LookupError(message)
            yield found[digest]


def replace_groups(
    connection: Connection, generation_id: int, groups: Iterable[Sequence[Any]], members: Iterable[Sequence[Any]]
) -> None:
    """Write a generation's groups and their members, in the order of the columns, in place of what stands there."""
    connection.execute(delete(duplicate_groups).where(duplicate_groups.c.generation_id == generation_id))
    connection.execute(delete(duplicate_members).where(duplicate_members.c.generation_id == generation_id))
    load_rows(connection, duplicate_groups, GROUP_COLUMNS, ((generation_id, *row) for row in groups))
    load_rows(connection, duplicate_members, MEMBER_COLUMNS, ((generation_id, *row) for row in members))


def current_groups(connection: Connection, corpus_id: int, fingerprint: str | None = None) -> int | None:
    """Return the generation of groups that readers see (of a fingerprint, or its first digits, if named)."""
    return current_generation(connection, corpus_id, fingerprint, OPERATION)


def totals(connection: Connection, generation_id: int) -> list[dict[str, Any]]:
    """Return, for each kind of group that there is, how many groups and documents, and how many are not the first."""
    counted = func.count()
    summed = func.sum(duplicate_groups.c.documents)
    statement = (
        select(duplicate_groups.c.kind, counted.label("groups"), summed.label("documents"))
        .where(duplicate_groups.c.generation_id == generation_id)
        .group_by(duplicate_groups.c.kind)
        .order_by(duplicate_groups.c.kind)
    )
    return [
        {
            "kind": row.kind,
            "groups": int(row.groups),
            "documents": int(row.documents),
            "repeats": int(row.documents) - int(row.groups),
        }
        for row in connection.execute(statement)
    ]


def largest_groups(connection: Connection, generation_id: int, limit: int) -> list[dict[str, Any]]:
    """Return the groups with the most documents, and the key of the first of each."""
    statement = (
        select(duplicate_groups, duplicate_members.c.key)
        .join(
            duplicate_members,
            and_(
                duplicate_members.c.generation_id == duplicate_groups.c.generation_id,
                duplicate_members.c.group_number == duplicate_groups.c.number,
                duplicate_members.c.number == 1,
            ),
        )
        .where(duplicate_groups.c.generation_id == generation_id)
        .order_by(duplicate_groups.c.documents.desc(), duplicate_groups.c.number)
        .limit(limit)
    )
    return [
        {"group": row.number, "kind": row.kind, "documents": row.documents, "texts": row.texts, "first": row.key}
        for row in connection.execute(statement)
    ]


def member_rows(connection: Connection, generation_id: int) -> Iterator[tuple[Any, ...]]:
    """Yield the members of all groups as they lie there, without their generation, by group and number."""
    columns = [duplicate_members.c[name] for name in MEMBER_COLUMNS[1:]]
    statement = (
        select(*columns)
        .where(duplicate_members.c.generation_id == generation_id)
        .order_by(duplicate_members.c.group_number, duplicate_members.c.number)
    )
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from map(tuple, rows)


def export_rows(connection: Connection, generation_id: int) -> Iterator[Mapping[str, Any]]:
    """Yield the members of all groups, by group and by number in it."""
    statement = _members(generation_id).order_by(duplicate_members.c.group_number, duplicate_members.c.number)
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        for row in rows:
            yield _as_row(row)


def _members(generation_id: int) -> Select[Any]:
    return (
        select(duplicate_members, duplicate_groups.c.kind, duplicate_groups.c.documents, sources.c.uri)
        .join(
            duplicate_groups,
            and_(
                duplicate_groups.c.generation_id == duplicate_members.c.generation_id,
                duplicate_groups.c.number == duplicate_members.c.group_number,
            ),
        )
        .outerjoin(sources, sources.c.id == duplicate_members.c.source_id)
        .where(duplicate_members.c.generation_id == generation_id)
    )


def _as_row(row: AnyRow) -> dict[str, Any]:
    return {
        "group": row.group_number,
        "kind": row.kind,
        "documents": row.documents,
        "number": row.number,
        "text": row.text_number,
        "similarity": row.similarity,
        "key": row.key,
        "source": row.uri,
        "offset": row.offset if row.source_id else None,
    }


def find_member(
    connection: Connection, generation_id: int, key: str, source: str | None, offset: int
) -> dict[str, Any] | None:
    """Return what group a document is in, with the key of the group's first member; None when it is in none.

    A document in a source is named by its key and place, one that a producer gave by its key (the newest of that key).
    """
    statement = _members(generation_id).where(duplicate_members.c.key == key)
    if source is None:
        statement = statement.where(duplicate_members.c.source_id == 0)
    else:
        statement = statement.where(sources.c.uri == source, duplicate_members.c.offset == offset)
    row = connection.execute(statement.order_by(duplicate_members.c.document_id.desc()).limit(1)).one_or_none()
    if row is None:
        return None
    first = select(duplicate_members.c.key).where(
        duplicate_members.c.generation_id == generation_id,
        duplicate_members.c.group_number == row.group_number,
        duplicate_members.c.number == 1,
    )
    found = _as_row(row)
    kept = ("group", "kind", "documents", "number", "similarity")
    return {**{name: found[name] for name in kept}, "first": connection.scalar(first)}
