"""The counts of one shard: words and document frequencies, and the partial counts they are stored as.

Counts what it is given: cuts no text, filters nothing, stores nothing. `merge` adds the partial counts up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.count.partitions import partitions_of, require_power_of_two
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

    def __init__(self, numbers: WordNumbers | None = None) -> None:
        """Begin with nothing counted; `numbers` may know words already."""
        #: The numbers of the words, for the segmenter to number its tokens by.
        self.numbers = WordNumbers() if numbers is None else numbers
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
        kept = self.numbers.of(choose(self._columns()[0]))
        is_kept = np.zeros(len(self._counts), np.bool_)
        is_kept[kept] = True
        self._counts = np.where(is_kept, self._counts, 0)
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
        partition = partitions_of(rows["word"], partitions)[order]
        return [encode_partial(rows.take(order[partition == number])) for number in range(partitions)]

    def _columns(self) -> tuple[list[str], Any, Any]:
        """Return the words that were counted, their counts and document frequencies."""
        # Others have a number too: numbers are not of this shard alone.
        counted = np.flatnonzero(self._counts)
        words = [*map(self.numbers.words.__getitem__, counted.tolist())]
        return words, self._counts[counted], self._document_frequencies[counted]


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
