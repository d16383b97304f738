"""The counts of one shard: words and document frequencies, and the partial counts they are stored as.

Counts what it is given: cuts no text, filters nothing, stores nothing. `merge` adds the partial counts up.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from zlib import crc32

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Format of partial counts. Raise it with any change of their bytes, and let it be part of the fingerprint.
PARTIAL_FORMAT = "1"
#: Where a partial count carries its format, in the metadata of its Arrow schema.
PARTIAL_FORMAT_KEY = b"hanmill.partial_counts"
#: How every whole Arrow stream ends.
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"

#: `large_string`, because a single token can be a megabyte long, and a merge may hold more than 2 GB of them.
COUNT_SCHEMA = pa.schema([("word", pa.large_string()), ("count", pa.int64()), ("documents", pa.int64())])
PARTIAL_SCHEMA = COUNT_SCHEMA.with_metadata({PARTIAL_FORMAT_KEY: PARTIAL_FORMAT})


class ShardCounts:
    """How often each word stands in a shard and in how many of its documents."""

    __slots__ = ("_counts", "_document_frequencies", "documents", "tokens")

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._counts: Counter[str] = Counter()
        self._document_frequencies: Counter[str] = Counter()
        #: Documents added.
        self.documents = 0
        #: Tokens added, repeated ones each time.
        self.tokens = 0

    def add(self, tokens: list[str]) -> None:
        """Count one document, given as all of its tokens; a document without tokens counts as a document."""
        self.documents += 1
        self.tokens += len(tokens)
        # Both run inside CPython's C loop over a dict; an own loop would cost four times as much.
        self._counts.update(tokens)
        self._document_frequencies.update(set(tokens))

    def partials(self, partitions: int) -> list[bytes]:
        """Return the partial counts, one for each partition, empty ones too.

        Each is an Arrow stream (word, count, documents), sorted by code points and compressed with zstd. Equal counts
        give equal bytes, in whatever order they were added. Raises ValueError unless `partitions` is a power of two.
        """
        require_power_of_two(partitions)
        words_of: list[list[str]] = [[] for _ in range(partitions)]
        for word in sorted(self._counts):
            words_of[partition_of(word, partitions)].append(word)
        return [self._encode(words) for words in words_of]

    def _encode(self, words: list[str]) -> bytes:
        columns = [
            words,
            [*map(self._counts.__getitem__, words)],
            [*map(self._document_frequencies.__getitem__, words)],
        ]
        return encode_partial(pa.record_batch(columns, schema=PARTIAL_SCHEMA))


def partition_of(word: str, partitions: int) -> int:
    """Return the partition that a word belongs to, from 0: the CRC-32 of its UTF-8 bytes modulo `partitions`.

    Where a word goes under 2 partitions follows from where it goes under 8, so that partial counts of different
    partition counts can be merged.
    """
    return crc32(word.encode()) % partitions


def require_power_of_two(partitions: int) -> None:
    """Raise ValueError unless the number of partitions is 1, 2, 4, 8 and so on."""
    if partitions < 1 or partitions & (partitions - 1):
        message = f"the number of partitions must be a power of two, and is {partitions}"
        raise ValueError(message)


def encode_partial(batch: Any) -> bytes:
    """Return one record batch as an Arrow stream."""
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, PARTIAL_SCHEMA, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def decode_partial(blob: bytes) -> Any:
    """Return the Arrow table of a partial count. Raises ValueError when it is none, or of another format."""
    if not blob.endswith(STREAM_END):
        # Arrow takes a stream that stops between two messages for a whole one.
        message = "these bytes are no partial counts, or not all of them"
        raise ValueError(message)
    try:
        with pa.ipc.open_stream(blob, options=pa.ipc.IpcReadOptions(use_threads=False)) as reader:
            table = reader.read_all()
    except (pa.ArrowInvalid, OSError) as fault:
        message = f"these bytes are no partial counts: {fault}"
        raise ValueError(message) from fault
    _require_format(table.schema.metadata or {})
    return table


def _require_format(metadata: Mapping[bytes, bytes]) -> None:
    found = metadata.get(PARTIAL_FORMAT_KEY, b"none").decode()
    if found != PARTIAL_FORMAT:
        message = f"these partial counts have format {found!r}, this version of hanmill reads {PARTIAL_FORMAT!r}"
        raise ValueError(message)
