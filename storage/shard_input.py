"""Reads the documents of one shard, in batches, and notices when a source is not what it was at planning.

Computes nothing of them and writes nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, select

from storage import repeats
from storage.dead_letters import DeadLetter
from storage.documents import Document, load_enqueued, text_sha256
from storage.engine import AnyRow, reading
from storage.errors import SourceChangedError, SourceUnavailableError
from storage.schema import sources
from storage.sources import (
    ReaderOptions,
    Record,
    check_allowed,
    content_digest,
    line_number,
    read,
    record_offsets,
    source_stamp,
)

#: A batch ends when its texts reach this many bytes, …
BATCH_BYTES = 512 * 1024
#: … or when it has this many documents.
BATCH_DOCUMENTS = 1000
#: Sources looked up by one statement.
CHUNK = 500
#: The reason of a dead letter that stands for a source, or a part of one, that nobody could read.
SOURCE_UNAVAILABLE = "source_unavailable"


@dataclass(slots=True)
class Batch:
    """Some documents of one shard, and what stood between them that is none."""

    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    #: Documents that were read and left out: another one stands for each of them.
    repeated: int = 0
    size_bytes: int = 0

    @property
    def records(self) -> int:
        """Everything that was read."""
        return len(self.documents) + len(self.letters) + self.repeated

    def is_full(self) -> bool:
        """Say whether the batch is to be computed now."""
        return self.size_bytes >= BATCH_BYTES or self.records >= BATCH_DOCUMENTS


class ShardInput:
    """The documents of a shard's pieces."""

    def __init__(
        self,
        engine: Engine,
        pieces: Mapping[str, Any],
        input_roots: Sequence[str] = (),
        *,
        without_missing: bool = False,
    ) -> None:
        """With `without_missing`, a source that cannot be read becomes one dead letter instead of an error."""
        self._engine = engine
        self._pieces = pieces
        self._input_roots = tuple(input_roots)
        self._without_missing = without_missing
        self._repeats = repeats.places_in(pieces)
        self._repeated = {source_id: frozenset(places) for source_id, places in self._repeats.items()}
        #: Documents that are left out.
        self.repeated = repeats.number_in(pieces)
        with reading(engine) as connection:
            self._sources = _load_sources(connection, [piece[0] for piece in pieces.get("files", ())])

    def digest(self, *, with_places: bool = False) -> bytes:
        """Return the digest of everything that the documents are made of, and of which of them are left out.

        `with_places`: of where they stand as well, so that equal content elsewhere has another one.
        Raises `SourceChangedError` and `SourceUnavailableError`.
        """
        digest = hashlib.sha256()
        if with_places:
            digest.update(json.dumps(self._pieces).encode())
        for source_id, offset, length, version in self._pieces.get("files", ()):
            source = self._source(source_id, version)
            try:
                self._check(source)
                digest.update(content_digest(source.uri, _options(source), offset, length))
            except SourceUnavailableError:
                if not self._without_missing:
                    raise
                digest.update(b"missing")
        ids = self._pieces.get("documents")
        if ids:
            with reading(self._engine) as connection:
                for row in load_enqueued(connection, ids):
                    digest.update(row.sha256)
        if self._repeats:
            digest.update(json.dumps(self._numbered_repeats()).encode())
        return digest.digest()

    def _numbered_repeats(self) -> list[list[Any]]:
        """Return what is left out by places in the pieces, which are the same wherever equal content stands."""
        files = [
            [number, *self._repeats[piece[0]]]
            for number, piece in enumerate(self._pieces.get("files", ()))
            if piece[0] in self._repeats
        ]
        gone = self._repeated.get(0, ())
        return [*files, [number for number, one in enumerate(self._pieces.get("documents", ())) if one in gone]]

    def batches(self) -> Iterator[Batch]:
        """Yield the documents in order.

        Raises `SourceChangedError` and `SourceUnavailableError`.
        """
        batch = Batch()
        for item in self._items():
            if isinstance(item, Document):
                if self._is_repeated(item):
                    batch.repeated += 1
                else:
                    batch.documents.append(item)
                # A row of Parquet has no length in bytes; a character has one at least.
                batch.size_bytes += max(item.record.length, len(item.text))
            else:
                batch.letters.append(item)
            if batch.is_full():
                yield batch
                batch = Batch()
        if batch.records:
            yield batch

    def _is_repeated(self, document: Document) -> bool:
        if not self._repeated:
            return False
        if document.source is None:
            return document.document_id in self._repeated.get(0, ())
        return document.record.offset in self._repeated.get(document.source.id, ())

    def _items(self) -> Iterator[Document | DeadLetter]:
        for source_id, offset, length, version in self._pieces.get("files", ()):
            source = self._source(source_id, version)
            try:
                yield from self._read(source, offset, length)
            except SourceUnavailableError as error:
                if not self._without_missing:
                    raise
                yield DeadLetter(source.id, source.uri, offset, max(length, 0), SOURCE_UNAVAILABLE, str(error))
        yield from self._enqueued(self._pieces.get("documents", ()))

    def _read(self, source: AnyRow, offset: int, length: int) -> Iterator[Document | DeadLetter]:
        self._check(source)
        options = _options(source)
        place = (0, 1)
        for item in read(source.uri, options, offset, length):
            if isinstance(item, Record):
                yield Document(item.text, text_sha256(item.text), item, source)
                continue
            # Counted on from the last dead letter, or a file of nothing else would be read once for each.
            line = item.line or line_number(source.uri, options, item.offset, since=place)
            place = (item.offset, line)
            yield DeadLetter(source.id, source.uri, item.offset, item.length, item.reason, item.detail, line, item.key)
        self._check(source)

    def _enqueued(self, ids: Sequence[int]) -> Iterator[Document]:
        for start in range(0, len(ids), CHUNK):
            # A connection of its own for each chunk: none is held while documents are computed.
            with reading(self._engine) as connection:
                rows = list(load_enqueued(connection, ids[start : start + CHUNK]))
            for row in rows:
                record = Record(row.key, row.text, 0, row.length, json.loads(row.metadata) if row.metadata else None)
                yield Document(row.text, bytes(row.sha256), record, None, row.id)

    def _source(self, source_id: int, version: int) -> AnyRow:
        source = self._sources.get(source_id)
        if source is None or source.version != version:
            # Changed or removed after the shard was planned: planning again takes the shard away.
            message = f"source {source_id} is no longer in the corpus as it was planned"
            raise SourceChangedError(message)
        return source

    def _check(self, source: AnyRow) -> None:
        """Raise `SourceChangedError` unless the source is the very one that was planned."""
        check_allowed(source.uri, self._input_roots)
        if source_stamp(source.uri) != (source.size, source.stamp):
            message = f"{source.uri} has changed since it was planned"
            raise SourceChangedError(message)

    def changed_sources(self) -> list[tuple[int, int, str]]:
        """Return (id, size, stamp) of every source that is not what it was, as it is now."""
        found = []
        for source in self._sources.values():
            size, stamp = source_stamp(source.uri)
            if (size, stamp) != (source.size, source.stamp):
                found.append((source.id, size, stamp))
        return found

    def halves(self, *, unread: bool = False) -> list[tuple[dict[str, Any], int]]:
        """Return two pieces that together are this shard's, each with its size in bytes; none for a single record.

        `unread`: no source is opened, for that is what failed; a stretch of one source is not halved then.
        """
        for kind in ("files", "documents"):
            items = self._pieces.get(kind, ())
            if len(items) > 1:
                middle = len(items) // 2
                return [self._sized({kind: list(part)}) for part in (items[:middle], items[middle:])]
        if unread or not self._pieces.get("files"):
            return []
        ((source_id, offset, length, version),) = self._pieces["files"]
        source = self._source(source_id, version)
        self._check(source)
        starts = record_offsets(source.uri, _options(source), offset, length)
        if len(starts) < 2:  # noqa: PLR2004 - halves are two
            return []
        middle = starts[len(starts) // 2]
        rest = -1 if length == -1 else offset + length - middle
        halves = ([source_id, offset, middle - offset, version], [source_id, middle, rest, version])
        return [self._sized({"files": [half]}) for half in halves]

    def _sized(self, pieces: dict[str, Any]) -> tuple[dict[str, Any], int]:
        sizes = [
            length if length >= 0 else self._source(source_id, version).size
            for source_id, _, length, version in pieces.get("files", ())
        ]
        return repeats.with_repeats(pieces, self._repeats), sum(sizes)

    def as_letters(self, reason: str, detail: str, *, unread: bool = False) -> list[DeadLetter]:
        """Return the dead letters of a shard that is given up: one for each of its pieces in which a record begins.

        `unread`: no source is opened to find the record's line and key, or whether there is one.
        """
        letters = []
        for source_id, offset, length, version in self._pieces.get("files", ()):
            source = self._source(source_id, version)
            if unread:
                letters.append(DeadLetter(source.id, source.uri, offset, max(length, 0), reason, detail))
                continue
            first = next(read(source.uri, _options(source), offset, length), None)
            if first is None:
                # The end of a record that begins in the piece before, and is that one's.
                continue
            line = line_number(source.uri, _options(source), first.offset)
            place = (first.offset, first.length)
            letters.append(DeadLetter(source.id, source.uri, *place, reason, detail, line, first.key))
        with reading(self._engine) as connection:
            letters.extend(
                DeadLetter(0, ENQUEUED, 0, row.length, reason, detail, None, row.key, row.id)
                for row in load_enqueued(connection, self._pieces.get("documents", ()))
            )
        return letters


class Letters:
    """Makes the dead letters of documents that were read well and can have no result."""

    def __init__(self) -> None:
        # Of each source, where lines were counted to: counted from its start for every letter, a file of nothing else
        # would be read once for each.
        self._places: dict[int, tuple[int, int]] = {}

    def letter(self, document: Document, reason: str, detail: str) -> DeadLetter:
        """Return a document's dead letter."""
        record, source = document.record, document.source
        if source is None:
            key, length, document_id = record.key, record.length, document.document_id
            return DeadLetter(0, ENQUEUED, 0, length, reason, detail, None, key, document_id)
        since = self._places.get(source.id, (0, 1))
        if since[0] > record.offset:
            since = (0, 1)
        line = line_number(source.uri, _options(source), record.offset, since=since)
        self._places[source.id] = (record.offset, line)
        return DeadLetter(source.id, source.uri, record.offset, record.length, reason, detail, line, record.key)


#: What stands for the source of a document that a producer gave by value.
ENQUEUED = "enqueued"


def _load_sources(connection: Connection, ids: Sequence[int]) -> dict[int, AnyRow]:
    found: dict[int, AnyRow] = {}
    for start in range(0, len(ids), CHUNK):
        statement = select(sources).where(sources.c.id.in_(ids[start : start + CHUNK]))
        found.update((row.id, row) for row in connection.execute(statement))
    return found


def _options(source: AnyRow) -> ReaderOptions:
    return ReaderOptions.from_json(source.options)
