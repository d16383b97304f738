"""Frequent n-grams of one partition, with what their neighbours come to; from the windows of all shards.

Everything is a whole number, so that the sums are the same in whatever order they are made. Memory is bounded: a
partition is summed in slices, each small enough to be held. Judges no n-gram; `lexicon` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tasks.discover.partials import chosen, decode_runs, require_power_of_two, scatter
from tasks.discover.windows import (
    BOUND_END,
    FREE_END,
    PENDING_WINDOWS,
    Packed,
    differs_from_before,
    no_windows,
    point,
    prefixes,
    sum_windows,
)

#: Windows of all shards that one slice is made for; equal ones become one when they are summed.
SLICE_WINDOWS = 6_000_000
#: What n-grams are kept as: how often each stands there, and for either side the sum of `weight` over its neighbours.
GRAM_SCHEMA = pa.schema(
    [("gram", pa.large_string()), ("count", pa.int64()), ("left", pa.int64()), ("right", pa.int64())]
)
#: A neighbour's weight is kept in so many parts of one.
WEIGHT_PARTS = 1 << 20


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a merge, and where its windows are."""

    #: Reads the partial counts of all shards, each with the number of partitions it was made with.
    stored: Callable[[], Iterable[tuple[bytes, int]]]
    max_length: int
    partitions: int = 1
    number: int = 0


def frequent_grams(partition: Partition, windows: int, min_count: int) -> Any:
    """Return the n-grams of a partition that stand there `min_count` times or more, and every single ideograph.

    A table of `GRAM_SCHEMA`. An ideograph's count is that of the partition alone: windows are divided by two
    ideographs. `windows` is how many there are in all shards together. Raises ValueError for a number of partitions
    that is no power of two, and for bytes that are no windows.
    """
    require_power_of_two(partition.partitions)
    slices = slices_for(windows, partition.partitions)
    tables = [GRAM_SCHEMA.empty_table()]
    for number in range(slices):
        summed = _sum_slice(partition, slices, number)
        lengths = range(2, partition.max_length + 1)
        tables += [_single(summed), *(_frequent(summed, partition.max_length, length, min_count) for length in lengths)]
    return pa.concat_tables(tables)


def slices_for(windows: int, partitions: int) -> int:
    """Return in how many slices a partition is summed, a power of two: `(7_000_000, 1) -> 2`, `(7_000_000, 4) -> 1`."""
    return 1 << (max(0, windows - 1) // (partitions * SLICE_WINDOWS)).bit_length()


def _sum_slice(partition: Partition, slices: int, number: int) -> Packed:
    summed = no_windows(partition.max_length)
    pending: list[Packed] = []
    pending_rows = 0
    for rows in _rows_of_slice(partition, slices, number):
        pending.append(rows)
        pending_rows += len(rows[1])
        # Twice what is there: otherwise a large sum would be made again after every partial count.
        if pending_rows >= max(PENDING_WINDOWS, 2 * len(summed[1])):
            summed, pending, pending_rows = sum_windows([summed, *pending]), [], 0
    return sum_windows([summed, *pending])


def _rows_of_slice(partition: Partition, slices: int, number: int) -> Iterator[Packed]:
    # Slices are partitions of a partition.
    parts, wanted = partition.partitions * slices, number * partition.partitions + partition.number
    for blob, made_with in partition.stored():
        for rows in decode_runs(blob, partition.max_length):
            is_whole = slices == 1 and made_with >= partition.partitions
            yield rows if is_whole else chosen(rows, scatter(rows[0], parts) == wanted)


def _single(summed: Packed) -> Any:
    columns, counts = summed
    starts = np.flatnonzero(differs_from_before([*prefixes(columns, 1)]))
    none = np.zeros(len(starts), np.int64)
    return _table([point(columns, 0)[starts]], _sums(counts, starts), none, none)


def _frequent(summed: Packed, max_length: int, length: int, min_count: int) -> Any:
    """Return the frequent n-grams of one length, from windows in order."""
    columns, counts = summed
    starts = np.flatnonzero(differs_from_before([*prefixes(columns, length)]))
    totals = _sums(counts, starts)
    # A window whose run ends before is none of this length.
    is_kept = (totals >= min_count) & (point(columns, length - 1)[starts] > BOUND_END)
    columns, counts = chosen(summed, np.repeat(is_kept, np.diff(starts, append=len(counts))))
    begins = differs_from_before([*prefixes(columns, length)])
    grams, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)
    # The left neighbour stands last in a window, the right one behind its n-gram.
    left, right = (_weights(grams, point(columns, place), counts) for place in (max_length + 1, length))
    return _table([point(columns, place)[starts] for place in range(length)], totals[is_kept], left, right)


def weight(counts: Any) -> Any:
    """Return c · ln c in whole parts of 1 / `WEIGHT_PARTS`, for the entropy: H = ln C - sum(c · ln c) / C."""
    return np.rint(counts * np.log(counts) * WEIGHT_PARTS).astype(np.int64)


def _weights(grams: Any, neighbours: Any, counts: Any) -> Any:
    """Return for each n-gram the sum of `weight` over how often each neighbour stands beside it.

    A free end is a neighbour of its own each time, whose weight is 0: anything could have stood there.
    """
    if not len(grams):
        return np.zeros(0, np.int64)
    columns, counts = sum_windows([([grams.astype(np.uint64), neighbours], counts)])
    weights = np.where(columns[1] == FREE_END, 0, weight(counts))
    return _sums(weights, np.flatnonzero(differs_from_before(columns[:1])))


def _sums(values: Any, starts: Any) -> Any:
    return np.add.reduceat(values, starts) if len(starts) else np.zeros(0, np.int64)


def _table(points: list[Any], counts: Any, left: Any, right: Any) -> Any:
    grams = np.ascontiguousarray(np.stack(points, axis=1).astype(np.uint32)).view(f"<U{len(points)}").ravel()
    return pa.table([pa.array(grams.tolist(), pa.large_string()), counts, left, right], schema=GRAM_SCHEMA)
