"""Which partition of a merge a word belongs to: by the CRC-32 of its UTF-8 bytes, for whole columns at once."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np

#: A word of more bytes is looked at alone: the columns of all words are as many as the longest has bytes.
LONG_WORD_BYTES = 48
#: The polynomial of CRC-32 (ISO 3309), its bits in reverse order.
_POLYNOMIAL = 0xEDB88320
_ALL_ONES = np.uint32(0xFFFFFFFF)


def partition_of(word: str, partitions: int) -> int:
    """Return the partition that a word belongs to, from 0: the CRC-32 of its UTF-8 bytes modulo `partitions`.

    Where a word goes under 2 partitions follows from where it goes under 8, so that partial counts of different
    partition counts can be merged.
    """
    return crc32(word.encode()) % partitions


def partitions_of(words: Any, partitions: int) -> Any:
    """Return the partition of each word of an Arrow `large_string` array, as `partition_of` gives it."""
    if partitions == 1 or not len(words):
        return np.zeros(len(words), np.int64)
    _, offsets, data = words.buffers()
    ends = np.frombuffer(offsets, np.int64)[words.offset : words.offset + len(words) + 1]
    starts, lengths = ends[:-1], np.diff(ends)
    # Words of no bytes only have no data.
    content = np.frombuffer(data or b"\0", np.uint8)
    sums = np.full(len(words), _ALL_ONES)
    longest = min(int(lengths.max()), LONG_WORD_BYTES)
    for at in range(longest):
        longer = np.flatnonzero(lengths > at)
        sums[longer] = _TABLE[(sums[longer] ^ content[starts[longer] + at]) & 0xFF] ^ (sums[longer] >> np.uint32(8))
    sums ^= _ALL_ONES
    for number in np.flatnonzero(lengths > LONG_WORD_BYTES).tolist():
        sums[number] = crc32(content[starts[number] : ends[number + 1]].tobytes())
    return sums.astype(np.int64) % partitions


def require_power_of_two(partitions: int) -> None:
    """Raise ValueError unless the number of partitions is 1, 2, 4, 8 and so on."""
    if partitions < 1 or partitions & (partitions - 1):
        message = f"the number of partitions must be a power of two, and is {partitions}"
        raise ValueError(message)


def _table() -> Any:
    """Return what each byte adds to a sum."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, _POLYNOMIAL ^ (table >> np.uint32(1)), table >> np.uint32(1)).astype(np.uint32)
    return table


_TABLE = _table()
