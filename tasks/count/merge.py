"""The merge of partial counts: one partition's words, summed over all shards. Reads and writes no database.

Memory is bounded by about three times the partition's vocabulary, however many partial counts come; where documents
carry dates, by as much for the pairs of word and month that occur.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.count.document_figures import DocumentFigures
from tasks.count.partitions import partitions_of, require_power_of_two
from tasks.count.row_sums import is_dated, sum_months, sum_rows, with_step
from tasks.count.shard_counts import COUNT_SCHEMA, decode_partial, encoded_figures

#: Rows in a batch that a merge yields, at most.
MERGED_BATCH_ROWS = 10_000
#: Bytes of rows that wait before they are summed (about a quarter of a million rows of Chinese words).
PENDING_BYTES = 8 * 1024 * 1024
#: Rows by month of words that have a row already.
_MONTHS = pa.schema([("position", pa.int64()), ("month", pa.int32()), ("count", pa.int64()), ("documents", pa.int64())])


class StoredPartial(NamedTuple):
    """A partial count: one of how many of its shard's, which of them, and the step of the shard.

    By steps, some shards each, it is told how the vocabulary grows.
    """

    data: bytes
    partitions: int
    partition: int = 0
    step: int = 0


class Merged:
    """The sum of one partition."""

    def __init__(self, rows: Any, figures: DocumentFigures | None) -> None:
        """Take the rows that `sum_rows` returns."""
        #: What the shards say of their documents, in the merge of partition 0; None where any of them says nothing.
        self.figures = figures
        self._words, numbers = sum_months(rows) if is_dated(rows) else (rows, None)
        # Arrow compares the UTF-8 bytes, which order as the code points do.
        self._order = pc.sort_indices(self._words["word"])
        self._months = _MONTHS.empty_table() if numbers is None else _placed(rows, numbers, self._order.to_numpy())

    def batches(self) -> Iterator[Any]:
        """Yield the rows (word, count, documents), sorted by code points, in batches."""
        yield from _gathered(self._words.select(COUNT_SCHEMA.names), self._order)

    def month_batches(self) -> Iterator[Any]:
        """Yield the rows (position, month, count, documents), none without dates, in batches.

        A position is that of the word among the rows of all `batches`, from 0.
        """
        order = pc.sort_indices(self._months, [("position", "ascending"), ("month", "ascending")])
        yield from _gathered(self._months, order)

    def new_words(self, steps: int) -> list[int]:
        """Return for each of the steps how many words stand in it and in no earlier one."""
        return [*map(int, np.bincount(self._words["step"].to_numpy(), minlength=steps))]


def merge(partials: Iterable[StoredPartial], partitions: int, partition: int) -> Merged:
    """Return the sum of one partition.

    `partials` are those that `needed_partitions` names; each is added once for every time it is given. Raises
    ValueError for a number of partitions that is no power of two, a partition out of range, and bytes that are no
    partial count.
    """
    _require_partition(partitions, partition)
    pending = _Pending()
    figures = DocumentFigures() if partition == 0 else None
    for stored in partials:
        require_power_of_two(stored.partitions)
        rows = decode_partial(stored.data)
        if figures is not None and stored.partition == 0:
            figures = _with_figures_of(rows, figures)
        if stored.partitions < partitions:
            rows = _rows_of_partition(rows, partitions, partition)
        pending.add(with_step(rows, stored.step))
    return Merged(pending.sum(), figures)


def needed_partitions(stored: int, partitions: int, partition: int) -> list[int]:
    """Return which partitions a merge must read where partial counts were stored in `stored` partitions.

    `(1, 4, 3) -> [0]` (and most rows are left out), `(8, 2, 1) -> [1, 3, 5, 7]`, `(4, 4, 2) -> [2]`.
    """
    require_power_of_two(stored)
    _require_partition(partitions, partition)
    return list(range(partition % stored, stored, partitions))


def _require_partition(partitions: int, partition: int) -> None:
    require_power_of_two(partitions)
    if not 0 <= partition < partitions:
        message = f"partition {partition} is out of range: there are {partitions}, from 0"
        raise ValueError(message)


def _with_figures_of(partial_count: Any, figures: DocumentFigures) -> DocumentFigures | None:
    encoded = encoded_figures(partial_count)
    if encoded is None:
        # Counted by a version that kept none: a sum without this shard would be no sum.
        return None
    figures.add_encoded(encoded)
    return figures


class _Pending:
    """Rows that wait to be summed, as many as the sum itself may take."""

    def __init__(self) -> None:
        self._tables: list[Any] = []
        self._bytes = 0
        self._limit_bytes = PENDING_BYTES

    def add(self, rows: Any) -> None:
        self._tables.append(rows)
        self._bytes += rows.nbytes
        if self._bytes >= self._limit_bytes:
            self._tables = [self.sum()]
            self._bytes = self._tables[0].nbytes
            # Twice the vocabulary so far: otherwise a large one would be summed again after every partial count.
            self._limit_bytes = max(PENDING_BYTES, 2 * self._bytes)

    def sum(self) -> Any:
        return sum_rows(self._tables)


def _rows_of_partition(rows: Any, partitions: int, partition: int) -> Any:
    is_wanted = [pa.array(partitions_of(words, partitions) == partition) for words in rows["word"].chunks]
    return rows.filter(pa.chunked_array(is_wanted, pa.bool_()))


def _placed(rows: Any, numbers: Any, order: Any) -> Any:
    """Return the rows by month of words, in no order; `numbers` are those of their words, `order` sorts the words."""
    positions = np.empty(len(order), np.int64)
    positions[order] = np.arange(len(order))
    return pa.table([positions[numbers], *rows.select(["month", "count", "documents"])], schema=_MONTHS)


def _gathered(rows: Any, order: Any) -> Iterator[Any]:
    """Yield the rows in order; each batch is gathered when it is asked for, so that they are never held twice."""
    whole = rows.combine_chunks()
    for start in range(0, len(order), MERGED_BATCH_ROWS):
        batch_rows = whole.take(order[start : start + MERGED_BATCH_ROWS])
        yield from batch_rows.combine_chunks().to_batches()
