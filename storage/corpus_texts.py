"""Reads the texts of a whole corpus where they stand, one after the other, as they are now. Remembers nothing of them.

Sources come in their order, then the documents that producers enqueued. Every record is one text, as `count` counts it:
which of equal keys is the document is not asked. Records that are none are left out; they are dead letters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select
from sqlalchemy.sql import func

from storage.corpora import COMPRESSION_RATIO
from storage.engine import AnyRow, reading
from storage.errors import SourceUnavailableError
from storage.repeats import Places
from storage.schema import documents, sources
from storage.sources import ReaderOptions, Record, check_allowed, read, source_stamp

#: Sources or enqueued documents looked up by one statement.
CHUNK = 500
#: Bytes of records after which a reading says how far it is.
STEP_BYTES = 512 * 1024


class CorpusText(NamedTuple):
    """One text with its key."""

    key: str
    text: str


@dataclass(frozen=True, slots=True)
class Listener:
    """Who is told of a reading while it goes on."""

    #: So many bytes more have been read.
    advance: Callable[[int], None]
    #: A source is not what it was when it was last listed, and was read all the same: its address.
    changed: Callable[[str], None]
    #: A source could not be read, or not to its end: its address, and why.
    unread: Callable[[str, str], None]


def corpus_size_bytes(connection: Connection, corpus_id: int) -> int:
    """Return how many bytes a reading of a corpus amounts to, as `Listener.advance` counts them."""
    in_sources = select(func.coalesce(func.sum(sources.c.size), 0)).where(sources.c.corpus_id == corpus_id)
    enqueued = select(func.coalesce(func.sum(documents.c.length), 0)).where(
        documents.c.corpus_id == corpus_id, documents.c.source_id == 0
    )
    return int(connection.scalar(in_sources) or 0) + int(connection.scalar(enqueued) or 0)


def read_texts(
    engine: Engine,
    corpus_id: int,
    input_roots: Sequence[str],
    listener: Listener,
    left_out: Places | None = None,
) -> Iterator[CorpusText]:
    """Yield every text of a corpus, but those in places that are left out; no transaction stays open meanwhile.

    Raises `UsageError` for a source outside of the input roots.
    """
    skipped = left_out or {}
    for source in _sources(engine, corpus_id):
        check_allowed(source.uri, input_roots)
        try:
            yield from _source_texts(source, listener, frozenset(skipped.get(source.id, ())))
        except SourceUnavailableError as error:
            listener.unread(source.uri, str(error))
    skipped_ids = frozenset(skipped.get(0, ()))
    for row in _enqueued(engine, corpus_id):
        listener.advance(row.length)
        if row.id not in skipped_ids:
            yield CorpusText(row.key, row.text)


def _source_texts(source: AnyRow, listener: Listener, skipped: AbstractSet[int]) -> Iterator[CorpusText]:
    if source_stamp(source.uri) != (source.size, source.stamp):
        listener.changed(source.uri)
    options = ReaderOptions.from_json(source.options)
    told_bytes = 0
    for record in read(source.uri, options):
        read_bytes = _read_bytes(record.offset, options)
        if told_bytes + STEP_BYTES < read_bytes < source.size:
            listener.advance(read_bytes - told_bytes)
            told_bytes = read_bytes
        if isinstance(record, Record) and record.offset not in skipped:
            yield CorpusText(record.key, record.text)
    listener.advance(source.size - told_bytes)


def _read_bytes(offset: int, options: ReaderOptions) -> int:
    """Return about how much of a source has been read when a record at an offset comes."""
    if options.format == "parquet":
        # Its offsets count rows.
        return 0
    return offset // COMPRESSION_RATIO if options.compression else offset


def _sources(engine: Engine, corpus_id: int) -> Iterator[AnyRow]:
    last = 0
    while True:
        statement = (
            select(sources)
            .where(sources.c.corpus_id == corpus_id, sources.c.position > last)
            .order_by(sources.c.position)
            .limit(CHUNK)
        )
        with reading(engine) as connection:
            rows = list(connection.execute(statement))
        yield from rows
        if len(rows) < CHUNK:
            return
        last = rows[-1].position


def _enqueued(engine: Engine, corpus_id: int) -> Iterator[AnyRow]:
    last = 0
    while True:
        statement = (
            select(documents.c.id, documents.c.key, documents.c.text, documents.c.length)
            .where(documents.c.corpus_id == corpus_id, documents.c.source_id == 0, documents.c.id > last)
            .order_by(documents.c.id)
            .limit(CHUNK)
        )
        with reading(engine) as connection:
            rows = list(connection.execute(statement))
        yield from rows
        if len(rows) < CHUNK:
            return
        last = rows[-1].id
