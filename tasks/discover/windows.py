"""Windows of ideographs: what stands at each place of a text, its neighbours with it; how n-grams are counted exactly.

Every ideograph begins one window: itself and the ideographs that follow, up to the longest word and its right
neighbour, and what stands before it. Nothing goes beyond a run of ideographs: punctuation, white space and the ends of
a document are neighbour 0, letters and digits of any script neighbour 1. So the windows that begin with an n-gram are
its occurrences, and hold the neighbours of each. Cuts no words and judges none.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tasks.text.characters import BASIC_PLANE, code_points

#: Unicode has code points of 21 bits; three are packed into one number of 64, the first the highest.
POINT_BITS = 21
POINTS_A_WORD = 3
_POINT_MASK = (1 << POINT_BITS) - 1
#: Ideographs: the unified ones with their extensions and compatibility forms, and 々 〇.
IDEOGRAPH_RANGES = ((0x3005, 0x3005), (0x3007, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))
#: The planes beyond the basic one that hold nothing but ideographs.
FIRST_RARE, LAST_RARE = 0x20000, 0x3FFFF
#: Between two documents; no ideograph.
SEPARATOR = "\n"
#: The end of a run, where anything could have stood; and a letter or digit, which may belong to it: 3枚, T恤.
FREE_END, BOUND_END = 0, 1
#: Windows that wait before they are summed.
PENDING_WINDOWS = 2_000_000

#: Windows, packed: one array a word of `POINTS_A_WORD` points, and how often each stands there.
Packed = tuple[list[Any], Any]


def points_of(max_length: int) -> int:
    """Return how many points a window has: the n-gram, its right neighbour, its left one."""
    return max_length + 2


class WindowCounts:
    """How often each window stands in some texts."""

    def __init__(self, max_length: int) -> None:
        """Begin with nothing; words have at most `max_length` characters."""
        self._max_length = max_length
        self._summed = no_windows(max_length)
        self._pending: list[Packed] = []
        self._pending_rows = 0
        #: Ideographs so far, each as often as it stands there.
        self.ideographs = 0

    @property
    def distinct(self) -> int:
        """How many windows differ from each other, as of the last time they were summed."""
        return len(self._summed[1])

    def add(self, texts: Sequence[str]) -> None:
        """Count texts; no window reaches from one into the next."""
        self._append(windows_of(SEPARATOR.join(texts), self._max_length))

    def _append(self, packed: Packed) -> None:
        rows = len(packed[1])
        self.ideographs += rows
        self._pending.append(packed)
        self._pending_rows += rows
        # Twice what is there: otherwise a large sum would be made again after every batch.
        if self._pending_rows >= max(PENDING_WINDOWS, 2 * len(self._summed[1])):
            self.summed()

    def summed(self) -> Packed:
        """Return the distinct windows in order, with their counts."""
        self._summed = sum_windows([self._summed, *self._pending])
        self._pending, self._pending_rows = [], 0
        return self._summed


def windows_of(text: str, max_length: int) -> Packed:
    """Return the window of every ideograph of a text, in the text's order, each counted once."""
    symbols = symbols_of(code_points(text))
    ends = np.zeros(max_length + 1, np.uint64)
    padded = np.concatenate([ends[:1], symbols, ends])
    length = len(symbols)
    starts = np.flatnonzero(symbols > BOUND_END)
    symbols = padded[1 : length + 1]
    chain = [symbols[starts]]
    for step in range(2, max_length + 2):
        # Behind the first that is no ideograph the run is over, whatever comes later.
        symbols = np.where(symbols > BOUND_END, padded[step : step + length], np.uint64(FREE_END))
        chain.append(symbols[starts])
    chain.append(padded[:length][starts])
    return pack(chain), np.ones(len(starts), np.int64)


def symbols_of(points: Any) -> Any:
    """Return code points as 64-bit numbers: ideographs as they are, the two kinds of ends for everything else."""
    basic = _KINDS[np.minimum(points, BASIC_PLANE)]
    is_rare = (points >= FIRST_RARE) & (points <= LAST_RARE)
    return np.where(is_rare | (basic > BOUND_END), points, basic).astype(np.uint64)


def _kinds() -> Any:
    """Return what each code point of the basic plane is: one of the ends, or more for an ideograph."""
    # One more than the plane has, for all that is beyond it.
    kinds = np.full(BASIC_PLANE + 1, FREE_END, np.uint8)
    kinds[:BASIC_PLANE] = [unicodedata.category(chr(point))[0] in "LN" for point in range(BASIC_PLANE)]
    for first, last in IDEOGRAPH_RANGES:
        kinds[first : last + 1] = BOUND_END + 1
    return kinds


_KINDS = _kinds()


def pack(points: Sequence[Any]) -> list[Any]:
    """Return columns of points, the first the most significant, as columns of 64-bit numbers."""
    packed = []
    for start in range(0, len(points), POINTS_A_WORD):
        word = np.zeros(len(points[0]), np.uint64)
        for place, column in enumerate(points[start : start + POINTS_A_WORD]):
            word |= column.astype(np.uint64) << np.uint64(POINT_BITS * (POINTS_A_WORD - 1 - place))
        packed.append(word)
    return packed


def point(packed: Sequence[Any], place: int) -> Any:
    """Return one column of points of packed windows."""
    shift = POINT_BITS * (POINTS_A_WORD - 1 - place % POINTS_A_WORD)
    return packed[place // POINTS_A_WORD] >> np.uint64(shift) & np.uint64(_POINT_MASK)


def no_windows(max_length: int) -> Packed:
    """Return no windows."""
    words = -(-points_of(max_length) // POINTS_A_WORD)
    return [np.zeros(0, np.uint64) for _ in range(words)], np.zeros(0, np.int64)


def sum_windows(parts: Sequence[Packed]) -> Packed:
    """Return the distinct windows of all parts in order, and the sums of their counts."""
    columns = [np.concatenate(words) for words in zip(*(words for words, _ in parts), strict=True)]
    counts = np.concatenate([counts for _, counts in parts])
    if not len(counts):
        return columns, counts
    order = np.lexsort(columns[::-1])
    columns = [column[order] for column in columns]
    starts = np.flatnonzero(differs_from_before(columns))
    return [column[starts] for column in columns], np.add.reduceat(counts[order], starts)


def differs_from_before(columns: Sequence[Any]) -> Any:
    """Say of each row whether it differs from the one before it; the first does."""
    differs = np.zeros(len(columns[0]), np.bool_)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return differs


def prefixes(packed: Sequence[Any], length: int) -> Iterator[Any]:
    """Yield the packed columns that hold the first points of windows, what follows them masked."""
    for start in range(0, length, POINTS_A_WORD):
        kept = min(POINTS_A_WORD, length - start)
        column = packed[start // POINTS_A_WORD]
        spare = np.uint64(POINT_BITS * (POINTS_A_WORD - kept))
        yield column >> spare << spare
