"""The signatures that the shards of a job have stored, as columns over all documents, and groups of them as rows.

Signs nothing and writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from storage import duplicates
from storage.engine import Engine, reading
from storage.partial_counts import done_shards
from tasks.dedup.banding import layout_for
from tasks.dedup.grouping import Members, group_documents
from tasks.dedup.partials import FIRST_BAND, KEYS, PLACES, Place, decode_band, decode_table
from tasks.dedup.signatures import DIGEST_BYTES
from tasks.operation import ShardWork

#: Rows made at a time on their way into the database.
ROWS_AT_ONCE = 10_000


class StoredSignatures:
    """What the shards of a job left behind, as columns over all their documents."""

    def __init__(self, work: ShardWork, engine: Engine) -> None:
        """Load the places; raises `LookupError` when something is not there."""
        self._work = work
        self._engine = engine
        self._layout = layout_for(work.parameters["similarity"])
        with reading(engine) as connection:
            self._digests = [bytes(shard.digest) for shard in done_shards(connection, work.job_id)]
        tables = [decode_table(blob) for blob in self._load(PLACES)]
        self._documents = [table.num_rows for table in tables]
        #: Columns of numbers by their names.
        self.places: dict[str, Any] = {}
        whole = pa.concat_tables(tables) if tables else None
        for name in (*Place.__dataclass_fields__, "text"):
            self.places[name] = _as_numbers(whole, name)

    def group(self) -> Members:
        """Return the groups."""
        order = (self.places["position"], self.places["offset"], self.places["document_id"])
        similarity = self._work.parameters["similarity"]
        return group_documents(order, self.places["text"], self._load_band, self._layout, similarity)

    def _load_band(self, band: int) -> Any:
        rows = self._layout.rows
        bands = [decode_band(blob, rows) for blob in self._load(FIRST_BAND + band)]
        return np.concatenate([np.empty((0, rows), np.uint16), *bands])

    def _load(self, part: int) -> Iterator[bytes]:
        with reading(self._engine) as connection:
            yield from duplicates.load_part(connection, self._work.fingerprint, self._digests, part)

    def keys_of(self, members: Members) -> Any:
        """Return the keys of some documents, as a column of Arrow's."""
        wanted = np.sort(members.document)
        kept, first = [pa.array([], pa.large_string())], 0
        for documents, blob in zip(self._documents, self._load(KEYS), strict=True):
            start, end = np.searchsorted(wanted, (first, first + documents))
            if start < end:
                column = decode_table(blob)["key"].combine_chunks()
                kept.append(column.take(pa.array(wanted[start:end] - first)))
            first += documents
        return pa.concat_arrays(kept).take(pa.array(np.searchsorted(wanted, members.document)))


def _as_numbers(table: Any, name: str) -> Any:
    """Return a column as numbers; a digest is two of 64 bits."""
    if table is None or not table.num_rows:
        return np.empty((0, 2), np.uint64) if name == "text" else np.empty(0, np.int64)
    column = table[name].combine_chunks()
    if name != "text":
        return column.to_numpy(zero_copy_only=False)
    first = column.offset * DIGEST_BYTES
    # Read as the most significant byte first: so they order as the digests do, on every machine.
    halves = np.frombuffer(column.buffers()[1], ">u8", count=2 * len(column), offset=first)
    return halves.astype(np.uint64).reshape(-1, 2)


def group_rows(members: Members) -> Iterator[tuple[int, str, int, int]]:
    """Yield (number, kind, documents, texts) of every group."""
    if not len(members.group):
        return
    starts = np.flatnonzero(members.number == 1)
    documents = np.diff(np.append(starts, len(members.number)))
    texts = np.maximum.reduceat(members.text, starts)
    for number, (count, different) in enumerate(zip(documents.tolist(), texts.tolist(), strict=True), start=1):
        yield number, "exact" if different == 1 else "near", count, different


def member_rows(members: Members, places: Mapping[str, Any], keys: Any) -> Iterator[tuple[Any, ...]]:
    """Yield (group, number, text, similarity, source, version, offset, document, key) of every member."""
    columns = (members.group, members.number, members.text, members.similarity)
    placed = ("source_id", "source_version", "offset", "document_id")
    for start in range(0, len(members.document), ROWS_AT_ONCE):
        some = slice(start, start + ROWS_AT_ONCE)
        which = members.document[some]
        numbers = [column[some].tolist() for column in columns]
        yield from zip(
            *numbers, *(places[name][which].tolist() for name in placed), keys[some].to_pylist(), strict=True
        )
