"""The merge of partial counts: one partition's words, summed over all shards. Reads and writes no database.

Memory is bounded by about three times the partition's vocabulary, however many partial counts come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from tasks.count.partitions import partitions_of, require_power_of_two
from tasks.count.shard_counts import COUNT_SCHEMA, decode_partial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

#: Rows in a batch that `merge` yields, at most.
MERGED_BATCH_ROWS = 10_000
#: Bytes of rows that wait before they are summed (about a quarter of a million rows of Chinese words).
PENDING_BYTES = 8 * 1024 * 1024


def merge(partials: Iterable[tuple[bytes, int]], partitions: int, partition: int) -> Iterator[pa.RecordBatch]:
    """Yield the summed rows (word, count, documents) of one partition, sorted by code points, in batches.

    `partials` are pairs of a partial count and the number of partitions it was made with, as `needed_partitions`
    names them; each is added once for every time it is given. Raises ValueError for a number of partitions that is no
    power of two, a partition out of range, and bytes that are no partial count.
    """
    _require_partition(partitions, partition)
    return _sorted_batches(_sum_all(partials, partitions, partition))


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


def _sum_all(partials: Iterable[tuple[bytes, int]], partitions: int, partition: int) -> pa.Table:
    pending: list[Any] = []
    pending_bytes, limit_bytes = 0, PENDING_BYTES
    for blob, made_with in partials:
        require_power_of_two(made_with)
        rows = decode_partial(blob)
        if made_with < partitions:
            rows = _rows_of_partition(rows, partitions, partition)
        pending.append(rows)
        pending_bytes += rows.nbytes
        if pending_bytes >= limit_bytes:
            pending = [_sum_by_word(pending)]
            pending_bytes = pending[0].nbytes
            # Twice the vocabulary so far: otherwise a large one would be summed again after every partial count.
            limit_bytes = max(PENDING_BYTES, 2 * pending_bytes)
    return _sum_by_word(pending)


def _rows_of_partition(rows: pa.Table, partitions: int, partition: int) -> pa.Table:
    is_wanted = [pa.array(partitions_of(words, partitions) == partition) for words in rows["word"].chunks]
    return rows.filter(pa.chunked_array(is_wanted, pa.bool_()))


def _sum_by_word(tables: list[Any]) -> pa.Table:
    """Return one row for each word of the tables, in no order.

    Words are numbered first and the numbers grouped: grouping by the strings themselves ends the whole process
    (pyarrow 26, std::length_error) when the distinct ones exceed 2 GB.
    """
    rows = pa.concat_tables([COUNT_SCHEMA.empty_table(), *(table.replace_schema_metadata() for table in tables)])
    if rows.num_rows == 0:
        return rows
    encoded = rows["word"].dictionary_encode().unify_dictionaries()
    numbers = pa.chunked_array([chunk.indices for chunk in encoded.chunks])
    numbered = pa.table({"number": numbers, "count": rows["count"], "documents": rows["documents"]})
    sums = numbered.group_by("number", use_threads=False).aggregate([("count", "sum"), ("documents", "sum")])
    words = encoded.chunk(0).dictionary.take(sums["number"].combine_chunks())
    return pa.table([words, sums["count_sum"], sums["documents_sum"]], schema=COUNT_SCHEMA)


def _sorted_batches(rows: pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield the rows in order; each batch is gathered when it is asked for, so that they are never held twice."""
    # Arrow compares the UTF-8 bytes, which order as the code points do.
    order = pc.sort_indices(rows["word"])
    whole = rows.combine_chunks()
    for start in range(0, len(order), MERGED_BATCH_ROWS):
        batch_rows = whole.take(order[start : start + MERGED_BATCH_ROWS])
        yield from batch_rows.combine_chunks().to_batches()
