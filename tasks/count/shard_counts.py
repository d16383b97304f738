"""The counts of one shard: words and document frequencies, and the partial counts they are stored as.

Counts what it is given: cuts no text, filters nothing, stores nothing. `merge` adds the partial counts up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.text.word_numbers import NumberedTokens, WordNumbers, by_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

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

    __slots__ = ("_counts", "_document_frequencies", "documents", "numbers", "tokens")

    def __init__(self) -> None:
        """Begin with nothing counted."""
        #: The numbers of the words, for the segmenter to number its tokens by.
        self.numbers = WordNumbers()
        # By the number of the word.
        self._counts = np.zeros(1, np.int64)
        self._document_frequencies = np.zeros(1, np.int64)
        #: Documents added.
        self.documents = 0
        #: Tokens added, repeated ones each time.
        self.tokens = 0

    def add(self, tokens: Sequence[str]) -> None:
        """Count one document, given as all of its tokens; a document without tokens counts as a document."""
        self.add_numbered(by_text(self.numbers.of(tokens)), 1)

    def add_numbered(self, tokens: NumberedTokens, documents: int) -> None:
        """Count documents, given as the numbers (`numbers`) of their tokens; documents without tokens count too."""
        words = len(self.numbers)
        self._counts = _grown(self._counts, words) + np.bincount(tokens.words, minlength=words)
        once = np.bincount(_once_a_text(tokens, words, documents), minlength=words)
        self._document_frequencies = _grown(self._document_frequencies, words) + once
        self.documents += documents
        self.tokens += len(tokens.words)

    def keep(self, choose: Callable[[list[str]], list[str]]) -> None:
        """Forget every word that is not among those that `choose` returns of all words."""
        words = choose(self._columns()[0])
        kept = np.array([0, *map(self.numbers.__getitem__, words)], np.int64)
        self._counts, self._document_frequencies = self._counts[kept], self._document_frequencies[kept]
        self.numbers = WordNumbers(words)
        self.tokens = int(self._counts.sum())

    def words(self) -> dict[str, int]:
        """Return how often each word was counted."""
        words, counts, _ = self._columns()
        return dict(zip(words, counts.tolist(), strict=True))

    def partials(self, partitions: int) -> list[bytes]:
        """Return the partial counts, one for each partition, empty ones too.

        Each is an Arrow stream (word, count, documents), sorted by code points and compressed with zstd. Equal counts
        give equal bytes, in whatever order they were added. Raises ValueError unless `partitions` is a power of two.
        """
        require_power_of_two(partitions)
        words, counts, document_frequencies = self._columns()
        rows = pa.record_batch([words, counts, document_frequencies], schema=PARTIAL_SCHEMA)
        # Arrow compares the UTF-8 bytes, which order as the code points do.
        order = pc.sort_indices(rows["word"]).to_numpy()
        if partitions == 1:
            return [encode_partial(rows.take(order))]
        partition = np.fromiter((partition_of(word, partitions) for word in words), np.int64, len(words))[order]
        return [encode_partial(rows.take(order[partition == number])) for number in range(partitions)]

    def _columns(self) -> tuple[list[str], Any, Any]:
        """Return the words that were counted, their counts and document frequencies."""
        # Others may have a number: it stands for words, and not for those of this shard alone.
        counted = np.flatnonzero(self._counts)
        words = [*self.numbers]
        return (
            [words[number] for number in counted.tolist()],
            self._counts[counted],
            self._document_frequencies[counted],
        )


def _once_a_text(tokens: NumberedTokens, words: int, documents: int) -> Any:
    """Return the number of each word once for every text it stands in."""
    word_bits = words.bit_length()
    # Half as wide is sorted in half the time.
    width = np.uint32 if documents << word_bits < 1 << 32 else np.uint64
    pairs = tokens.texts.astype(width) << width(word_bits) | tokens.words.astype(width)
    pairs.sort()
    is_first = np.ones(len(pairs), np.bool_)
    np.not_equal(pairs[1:], pairs[:-1], out=is_first[1:])
    return (pairs[is_first] & width((1 << word_bits) - 1)).astype(np.int64)


def _grown(sums: Any, length: int) -> Any:
    return np.pad(sums, (0, length - len(sums)))


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
