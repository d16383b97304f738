"""Documents: one row a record of a corpus, by value or by reference. Which of equal keys counts is derived.

Of records that share a key the one highest in (source order, offset) is the document; the others are identical (the
same text) or replaced. That is decided when it is asked, never stored, so that no order of writing can change it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, case, exists, or_, select, update
from sqlalchemy.sql import func

from storage.bulk import write_over
from storage.corpora import lock_corpus, next_pack
from storage.engine import AnyRow, insert_new, now
from storage.schema import dead_letters, documents, sources
from storage.sources import Record

#: Documents written or read by one statement.
CHUNK = 500


#: The columns of a document that stands in a source, …
COLUMNS = (
    *("corpus_id", "source_id", "source_version", "position"),
    *("key", "offset", "length", "sha256", "metadata", "created_at"),
)
#: … those by which it is known, and what its unique index is about, in the words of the index.
KEYS = ("corpus_id", "key", "source_id", "offset")
IN_SOURCE = "source_id <> 0"


@dataclass(frozen=True, slots=True)
class Document:
    """One document on its way through an operation."""

    text: str
    sha256: bytes
    record: Record
    #: The row of the source it stands in; None when a producer gave it by value.
    source: AnyRow | None = None
    #: Of its row when a producer gave it by value; 0 when it stands in a source.
    document_id: int = 0

    @property
    def month(self) -> int:
        """The month of its date, 202407 for July 2024; 0 without a date."""
        return self.record.month


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document that a producer gives by value."""

    key: str
    text: str
    metadata: Mapping[str, Any] | None = None


def text_sha256(text: str) -> bytes:
    """Return the 32-byte digest by which a text's results are known."""
    return hashlib.sha256(text.encode()).digest()


def save_records(connection: Connection, read: Sequence[Document]) -> None:
    """Write the rows of documents that stand in sources; a row written by an earlier attempt is the same row."""
    created_at = connection.scalar(select(now()))
    rows: list[tuple[Any, ...]] = []
    last: AnyRow | None = None
    place: tuple[Any, ...] = ()
    for document in read:
        source, record = document.source, document.record
        if source is None:
            continue
        if source is not last:
            # Looked up once for all documents that follow each other in it.
            last, place = source, (source.corpus_id, source.id, source.version, source.position)
        noted = _metadata(record.metadata)
        rows.append((*place, record.key, record.offset, record.length, document.sha256, noted, created_at))
    write_over(connection, documents, COLUMNS, rows, keys=KEYS, stamps=["created_at"], where=IN_SOURCE)


def _metadata(metadata: Mapping[str, Any] | None) -> str | None:
    return json.dumps(metadata, ensure_ascii=False, sort_keys=True) if metadata else None


def enqueue(
    connection: Connection, corpus_id: int, given: Sequence[NewDocument], pack_bytes: int
) -> dict[int, list[AnyRow]]:
    """Write documents by value and return the rows that were new, by pack.

    A document that is there already (same corpus, key and text) is left alone, so that a message may come twice.
    """
    if not given:
        return {}
    packs = _pack_numbers(given, pack_bytes)
    first = next_pack(connection, corpus_id, packs[-1] + 1)
    created_at = connection.scalar(select(now()))
    rows = [
        {
            "corpus_id": corpus_id,
            "key": document.key,
            "source_id": 0,
            "position": ENQUEUED_POSITION,
            "length": len(document.text.encode()),
            "sha256": text_sha256(document.text),
            "text": document.text,
            "metadata": _metadata(document.metadata),
            "pack": first + pack,
            "created_at": created_at,
        }
        for document, pack in zip(given, packs, strict=True)
    ]
    insert_new(connection, documents, rows)
    statement = (
        select(documents.c.id, documents.c.sha256, documents.c.length, documents.c.pack)
        .where(documents.c.corpus_id == corpus_id, documents.c.source_id == 0, documents.c.pack >= first)
        .where(documents.c.pack <= first + packs[-1])
        .order_by(documents.c.pack, documents.c.id)
    )
    new: dict[int, list[AnyRow]] = {}
    for row in connection.execute(statement):
        new.setdefault(row.pack, []).append(row)
    return new


#: The source order of enqueued documents: above every source, so that they win over files with the same key.
ENQUEUED_POSITION = 2**31 - 1


def _pack_numbers(given: Sequence[NewDocument], pack_bytes: int) -> list[int]:
    numbers: list[int] = []
    pack, filled_bytes = 0, 0
    for document in given:
        size_bytes = len(document.text.encode())
        if filled_bytes and filled_bytes + size_bytes > pack_bytes:
            pack, filled_bytes = pack + 1, 0
        filled_bytes += size_bytes
        numbers.append(pack)
    return numbers


def merge_small_packs(connection: Connection, corpus_id: int, pack_bytes: int) -> None:
    """Put small packs of enqueued documents together, so that a feed of single documents is not ever so many shards.

    Jobs that run name their documents by id and are not touched; the next ones find fewer and larger packs.
    """
    lock_corpus(connection, corpus_id)
    size_bytes = func.sum(documents.c.length)
    statement = (
        select(documents.c.pack, size_bytes)
        .where(documents.c.corpus_id == corpus_id, documents.c.source_id == 0)
        .group_by(documents.c.pack)
        .having(size_bytes < pack_bytes // 2)
        .order_by(documents.c.pack)
    )
    groups: list[list[int]] = []
    filled_bytes = pack_bytes
    for pack, pack_size_bytes in connection.execute(statement):
        if filled_bytes >= pack_bytes:
            groups.append([])
            filled_bytes = 0
        groups[-1].append(pack)
        filled_bytes += int(pack_size_bytes)
    for group in groups:
        if len(group) > 1:
            _renumber(connection, corpus_id, group)


def _renumber(connection: Connection, corpus_id: int, packs: Sequence[int]) -> None:
    number = next_pack(connection, corpus_id)
    for start in range(0, len(packs), CHUNK):
        chunk = packs[start : start + CHUNK]
        connection.execute(
            update(documents)
            .where(documents.c.corpus_id == corpus_id, documents.c.source_id == 0, documents.c.pack.in_(chunk))
            .values(pack=number)
        )


def load_enqueued(connection: Connection, ids: Sequence[int]) -> Iterator[AnyRow]:
    """Yield enqueued documents with their text, in order of their ids."""
    for start in range(0, len(ids), CHUNK):
        chunk = ids[start : start + CHUNK]
        yield from connection.execute(select(documents).where(documents.c.id.in_(chunk)).order_by(documents.c.id))


def ranked_records(corpus_id: int, below: tuple[int, int] | None = None) -> Select[Any]:
    """Return the statement of a corpus's records as its sources stand now, with `rank` 1 for the document of a key.

    `winner_sha256` is the text of the document that the record's key has. `below` leaves out sources from a position
    on, and enqueued documents from an id on.
    """
    order = (documents.c.position.desc(), documents.c.offset.desc(), documents.c.id.desc())
    is_current = and_(sources.c.id == documents.c.source_id, sources.c.version == documents.c.source_version)
    statement = (
        select(
            documents,
            func.row_number().over(partition_by=documents.c.key, order_by=order).label("rank"),
            func.first_value(documents.c.sha256)
            .over(partition_by=documents.c.key, order_by=order)
            .label("winner_sha256"),
        )
        .outerjoin(sources, is_current)
        .where(documents.c.corpus_id == corpus_id, (documents.c.source_id == 0) | sources.c.id.is_not(None))
    )
    if below is None:
        return statement
    position, document_id = below
    from_source = and_(documents.c.source_id != 0, documents.c.position < position)
    return statement.where(or_(from_source, and_(documents.c.source_id == 0, documents.c.id < document_id)))


def count_shadowed(
    connection: Connection, corpus_id: int, below: tuple[int, int] | None = None, job_id: int | None = None
) -> tuple[int, int]:
    """Return how many records of a job are identical to another of their key, and how many are replaced.

    A job's records are those of its corpus when it was planned: `below` the next source position and the next document.
    Those that are dead letters of the job are counted there and not here.
    """
    ranked = ranked_records(corpus_id, below).subquery()
    same = ranked.c.sha256 == ranked.c.winner_sha256
    statement = select(
        func.coalesce(func.sum(case((same, 1), else_=0)), 0), func.coalesce(func.sum(case((~same, 1), else_=0)), 0)
    ).where(ranked.c.rank > 1)
    if job_id is not None:
        in_source = and_(
            dead_letters.c.source_id == ranked.c.source_id,
            dead_letters.c.offset == ranked.c.offset,
            dead_letters.c.source_id != 0,
        )
        enqueued = and_(dead_letters.c.source_id == 0, dead_letters.c.document_id == ranked.c.id)
        is_dead = exists().where(dead_letters.c.job_id == job_id, or_(in_source, enqueued))
        statement = statement.where(~is_dead)
    identical, replaced = connection.execute(statement).one()
    return int(identical), int(replaced)
