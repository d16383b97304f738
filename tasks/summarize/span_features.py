"""What the span pointer reads of a window beside its characters, and which spans it may choose. Runs no network.

Four features a position: how often the pair of characters that starts here occurs in the window, how rare it is in
other texts, how much more often it stands in titles than in texts, and where the position is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tasks.text.characters import folded
from tasks.text.clauses import sentences

#: Features of each position.
FEATURES = 4
#: Pairs of characters are counted in so many buckets (a hash; two pairs may share one).
BUCKETS = 1 << 17
#: More repetitions than this say nothing more.
MAX_REPETITIONS = 5
#: No span contains one of these or a line end, wherever a sentence ends by its context.
_HARD_ENDS = re.compile(r"[。！？；｡!?;\n\r\v\f\x85\u2028\u2029]")
#: Marks at which a span may start or end although they are no letters and no digits; else brackets and quotes.
_STARTING = frozenset('"“#+$￥¥')
_ENDING = frozenset('"”#+%％‰℃°')
#: What is never cut in two: a Latin word, a number.
_LATIN = re.compile(r"[A-Za-z0-9\u00c0-\u024f]+(?:[.\-'’/+&_][A-Za-z0-9\u00c0-\u024f]+)*")
#: Characters of a Latin stretch beyond which it may be cut after all.
_LONG_LATIN = 32


class PairStatistics:
    """In how many texts, and how often in titles, pairs of neighbouring characters were seen."""

    def __init__(self, texts: int, titles: int, table: NDArray[np.float32]) -> None:
        """`texts` and `titles` are how many were counted; `table` is (BUCKETS, 2): texts with a pair, its titles.

        Raises ValueError for a table of another shape.
        """
        if table.shape != (BUCKETS, 2):
            message = f"the counts of pairs have the shape {table.shape} instead of {(BUCKETS, 2)}"
            raise ValueError(message)
        self.texts = texts
        self.titles = titles
        self.table = table

    @classmethod
    def count(cls, texts: Iterable[str], titles: Iterable[str]) -> PairStatistics:
        """Count; a text or title counts once for each pair in it."""
        table = np.zeros((BUCKETS, 2), dtype=np.float32)
        sizes = [0, 0]
        for column, source in enumerate((texts, titles)):
            for text in source:
                table[np.unique(pair_buckets(folded(text))), column] += 1
                sizes[column] += 1
        return cls(sizes[0], sizes[1], table)

    def storable(self) -> PairStatistics:
        """Return them as a model's file has them, in 16 bits, so that training sees what inference will."""
        return PairStatistics(self.texts, self.titles, self.table.astype(np.float16).astype(np.float32))

    def features(self, points: NDArray[np.uint32], *, counted: bool = False) -> NDArray[np.float32]:
        """Return the features of a window's folded characters, shape (T, 4); `counted`: it was among the texts."""
        buckets = pair_buckets(points)
        _, places, repetitions = np.unique(buckets, return_inverse=True, return_counts=True)
        seen, titled = self.table[buckets].T
        # A training text must look as a new one does: what it added itself is taken off.
        seen = np.maximum(seen - 1, 0) if counted else seen
        rarity = np.log((self.texts + 1) / (seen + 1))
        titleness = np.log((titled + 0.5) / (self.titles + 1)) - np.log((seen + 0.5) / (self.texts + 1))
        columns = (
            np.minimum(repetitions[places] - 1, MAX_REPETITIONS) / 2,
            rarity / 8,
            titleness / 4 if self.titles else np.zeros(len(points)),
            np.arange(len(points)) / 100,
        )
        return np.stack(columns, axis=1).astype(np.float32)


def pair_buckets(points: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the bucket of the pair that starts at each position; the last one is paired with nothing."""
    first = points.astype(np.int64)
    following = np.append(first[1:], 0)
    mixed: NDArray[np.int64] = (first * 1_000_003 + following * 8_191) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 15)) % BUCKETS


def span_limits(text: str, max_width: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return how wide a span may be that starts at each position (0: none may), and whether one may end there.

    A span lies within one sentence, begins and ends with a letter, a digit, a bracket or a quote, and cuts no Latin
    word and no number.
    """
    starts = np.array([_may_start(character) for character in text], dtype=bool)
    ends = np.array([_may_end(character) for character in text], dtype=bool)
    for match in _LATIN.finditer(text):
        if match.end() - match.start() <= _LONG_LATIN:
            starts[match.start() + 1 : match.end()] = False
            ends[match.start() : match.end() - 1] = False
    stops = np.zeros(len(text) + 1, dtype=bool)
    stops[[end for _, end in sentences(text)]] = True
    stops[[match.start() for match in _HARD_ENDS.finditer(text)]] = True
    stops[-1] = True
    places = np.flatnonzero(stops)
    positions = np.arange(len(text))
    room = places[np.searchsorted(places, positions, side="right")] - positions
    return np.where(starts, np.minimum(room, max_width), 0), ends


@lru_cache(maxsize=1 << 16)
def _may_start(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LN" or category in {"Ps", "Pi"} or character in _STARTING


@lru_cache(maxsize=1 << 16)
def _may_end(character: str) -> bool:
    category = unicodedata.category(character)
    return category[0] in "LNM" or category in {"Pe", "Pf"} or character in _ENDING
