"""The counts of one shard: words and document frequencies, and the partial counts they are stored as.

Counts what it is given: cuts no text, filters nothing, stores nothing. `merge` adds the partial counts up. Where
documents carry dates, words are counted by month, and so are the rows of the partial counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.count.document_figures import UNDATED, DocumentFigures
from tasks.count.month_counts import MonthCounts, MonthRows
from tasks.count.partitions import partitions_of, require_power_of_two
from tasks.text.word_numbers import NumberedTokens, WordNumbers, by_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Format of partial counts. Raise it with any change of their bytes, and let it be part of the fingerprint.
PARTIAL_FORMAT = "2"
#: Where a partial count carries, in the metadata of its Arrow schema, the oldest format whose readers can sum it.
#: Those of "1" know neither months nor figures, and do not mind figures.
PARTIAL_FORMAT_KEY = b"hanmill.partial_counts"
UNDATED_FORMAT, DATED_FORMAT = "1", "2"
#: Where the partial count of partition 0 carries the `DocumentFigures` of its shard. One of a version that kept no
#: figures has none.
FIGURES_KEY = b"hanmill.document_figures"
#: How every whole Arrow stream ends.
STREAM_END = b"\xff\xff\xff\xff\x00\x00\x00\x00"

#: `large_string`, because a single token can be a megabyte long, and a merge may hold more than 2 GB of them.
COUNT_SCHEMA = pa.schema([("word", pa.large_string()), ("count", pa.int64()), ("documents", pa.int64())])
PARTIAL_SCHEMA = COUNT_SCHEMA.with_metadata({PARTIAL_FORMAT_KEY: UNDATED_FORMAT})
#: Of a shard in which any document carries a date; 202407, or 0 for documents without one.
DATED_SCHEMA = COUNT_SCHEMA.append(pa.field("month", pa.int32())).with_metadata({PARTIAL_FORMAT_KEY: DATED_FORMAT})


class ShardCounts:
    """How often each word stands in a shard and in how many of its documents."""

    __slots__ = ("_by_month", "_counts", "_document_frequencies", "documents", "numbers", "tokens")

    def __init__(self, numbers: WordNumbers | None = None) -> None:
        """Begin with nothing counted; `numbers` may know words already."""
        #: The numbers of the words, for the segmenter to number its tokens by.
        self.numbers = WordNumbers() if numbers is None else numbers
        # Of undated documents, by the number of the word.
        self._counts = np.zeros(1, np.int64)
        self._document_frequencies = np.zeros(1, np.int64)
        # Of the others, and of those that came together with them.
        self._by_month: MonthCounts | None = None
        #: Documents added.
        self.documents = 0
        #: Tokens added, repeated ones each time.
        self.tokens = 0

    def add(self, tokens: Sequence[str]) -> None:
        """Count one document, given as all of its tokens; a document without tokens counts as a document."""
        self.add_numbered(by_text(self.numbers.of(tokens)), 1)

    def add_numbered(self, tokens: NumberedTokens, documents: int, months: Any | None = None) -> None:
        """Count documents, given as the numbers (`numbers`) of their tokens; documents without tokens count too.

        `months` is an array with the month of each of them; without it they are undated.
        """
        self.documents += documents
        self.tokens += len(tokens.words)
        if months is not None:
            self._by_month = self._by_month or MonthCounts()
            self._by_month.add(tokens, months)
            return
        words = len(self.numbers)
        self._counts = _grown(self._counts, words) + np.bincount(tokens.words, minlength=words)
        once = np.bincount(_once_a_text(tokens, words, documents), minlength=words)
        self._document_frequencies = _grown(self._document_frequencies, words) + once

    def keep(self, choose: Callable[[list[str]], list[str]]) -> None:
        """Forget every word that is not among those that `choose` returns of all words."""
        rows = self._rows()
        counted = np.unique(rows.numbers)
        kept = self.numbers.of(choose(self._words_of(counted)))
        is_kept = np.zeros(len(self.numbers), np.bool_)
        is_kept[kept] = True
        self._counts = np.where(is_kept[: len(self._counts)], self._counts, 0)
        if self._by_month:
            self._by_month = self._by_month.kept(is_kept)
        self.tokens = int(rows.counts[is_kept[rows.numbers]].sum())

    def words(self) -> dict[str, int]:
        """Return how often each word was counted."""
        rows = self._rows()
        counts = np.bincount(rows.numbers, rows.counts, len(self.numbers)).astype(np.int64)
        counted = np.flatnonzero(counts)
        return dict(zip(self._words_of(counted), counts[counted].tolist(), strict=True))

    def tokens_by_month(self) -> dict[int, int]:
        """Return how many tokens were counted in each month."""
        if self._by_month is None:
            return {UNDATED: self.tokens}
        rows = self._rows()
        months, places = np.unique(rows.months, return_inverse=True)
        tokens = np.zeros(len(months), np.int64)
        np.add.at(tokens, places, rows.counts)
        return dict(zip(months.tolist(), tokens.tolist(), strict=True))

    def partials(self, partitions: int, figures: DocumentFigures | None = None) -> list[bytes]:
        """Return the partial counts, one for each partition, empty ones too.

        Each is an Arrow stream (word, count, documents, and month if any document has one), sorted by code points and
        months and compressed with zstd; the first carries the figures. Equal counts give equal bytes, in whatever order
        they were added. Raises ValueError unless `partitions` is a power of two.
        """
        require_power_of_two(partitions)
        encoded = {FIGURES_KEY: figures.encode()} if figures else {}
        rows, partition = self._sorted_batch(partitions)
        return [
            encode_partial(rows if partitions == 1 else rows.take(np.flatnonzero(partition == number)), metadata)
            for number, metadata in enumerate([encoded, *[{}] * (partitions - 1)])
        ]

    def _sorted_batch(self, partitions: int) -> tuple[Any, Any]:
        """Return all rows in order, and the partition of each."""
        rows = self._rows()
        if self._by_month is None:
            counted, places = rows.numbers, np.arange(len(rows.numbers))
        else:
            counted, places = np.unique(rows.numbers, return_inverse=True)
        words = pa.array(self._words_of(counted), pa.large_string())
        # Arrow compares the UTF-8 bytes, which order as the code points do.
        order = pc.sort_indices(words).to_numpy()
        if self._by_month is not None:
            ranks = np.empty(len(order), np.int64)
            ranks[order] = np.arange(len(order))
            order = np.lexsort((rows.months, ranks[places]))
        schema = PARTIAL_SCHEMA if self._by_month is None else DATED_SCHEMA
        columns = {
            "word": words.take(places[order]),
            "count": rows.counts[order],
            "documents": rows.documents[order],
            "month": rows.months[order],
        }
        partition = partitions_of(words, partitions)[places[order]]
        return pa.record_batch([columns[name] for name in schema.names], schema=schema), partition

    def _rows(self) -> MonthRows:
        """Return what was counted of each word in each month."""
        # Others have a number too: numbers are not of this shard alone.
        counted = np.flatnonzero(self._counts)
        undated = MonthRows(
            counted, np.full(len(counted), UNDATED), self._counts[counted], self._document_frequencies[counted]
        )
        if self._by_month is None:
            return undated
        both = MonthCounts()
        both.add_rows(undated)
        both.add_rows(self._by_month.rows())
        return both.rows()

    def _words_of(self, numbers: Any) -> list[str]:
        return [*map(self.numbers.words.__getitem__, numbers.tolist())]


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


def encode_partial(batch: Any, metadata: Mapping[bytes, bytes] | None = None) -> bytes:
    """Return one record batch as an Arrow stream, with more metadata if there is any."""
    options = pa.ipc.IpcWriteOptions(compression="zstd", use_threads=False)
    sink = pa.BufferOutputStream()
    batch = batch.replace_schema_metadata({**batch.schema.metadata, **(metadata or {})})
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
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
    if found not in {UNDATED_FORMAT, DATED_FORMAT}:
        readable = f"{UNDATED_FORMAT!r} and {DATED_FORMAT!r}"
        message = f"these partial counts have format {found!r}, this version of hanmill reads {readable}"
        raise ValueError(message)


def encoded_figures(partial_count: Any) -> bytes | None:
    """Return what a decoded partial count carries of its shard's figures, if anything."""
    found: bytes | None = (partial_count.schema.metadata or {}).get(FIGURES_KEY)
    return found
