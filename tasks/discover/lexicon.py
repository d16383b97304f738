"""Which frequent n-grams are words: how firmly they hold together, and how freely they stand among their neighbours.

Firmness is the pointwise mutual information ln(N · c(xy) / (c(x) · c(y))) (Fano 1961; Church and Hanks 1990), the
least over all ways to cut an n-gram in two, with a threshold that grows with its length (Su Jianlin, word-discovery).
Freedom is the entropy -sum(p · ln p) of the neighbours on either side, the lesser of the two (Huang and Powers 2003).
Natural logarithms throughout. Counts nothing; `frequent` does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tasks.discover.frequent import WEIGHT_PARTS

#: Digits after the point that figures are rounded to before they are compared: the last bits of a logarithm are not
#: the same on every processor.
DIGITS = 6
#: Where no `min_count` is given, an n-gram must be one in so many ideographs, …
IDEOGRAPHS_A_COUNT = 100_000
#: … with these limits: with fewer than five places no entropy reaches the threshold that is set unless another is
#: given, and the larger is the source's own, for corpora of gigabytes.
LEAST_MIN_COUNT, MOST_MIN_COUNT = 5, 32
#: Words of grammar, of one character. What the dictionary cuts one off from is a phrase and no word: 的时候, 将继续.
GRAMMAR = frozenset("的了着是在和与及也都就还将被把让很更这那你我他她它等并但而")
#: More that begin phrases only, and that end them only: 据报道, 适用于 (but 于 begins names).
BEGINNINGS, ENDINGS = GRAMMAR | frozenset("请据已该此"), GRAMMAR | frozenset("于给到称说曰")


@dataclass(frozen=True, slots=True)
class NewWord:
    """A word with its figures."""

    word: str
    count: int
    #: The least over all ways to cut it in two.
    pmi: float
    left_entropy: float
    right_entropy: float
    #: `pmi` times the lesser entropy; what is listed is listed by it.
    score: float

    def as_row(self) -> tuple[str, int, float, float, float, float]:
        """Return what is stored of it."""
        return (self.word, self.count, self.pmi, self.left_entropy, self.right_entropy, self.score)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What an n-gram must reach to be a word."""

    min_count: int
    #: For each character after the first.
    min_pmi: float
    min_entropy: float


def min_count_for(ideographs: int) -> int:
    """Return the least count of a word in a corpus of so many: 200_000 -> 5, 1_000_000 -> 10, 7_000_000 -> 32."""
    return min(MOST_MIN_COUNT, max(LEAST_MIN_COUNT, ideographs // IDEOGRAPHS_A_COUNT))


def new_words(
    grams: Any, thresholds: Thresholds, is_known: Callable[[str], bool], cut: Callable[[str], list[str]]
) -> list[NewWord]:
    """Return the words among the n-grams of all partitions that nobody knows, the highest score first.

    `cut` cuts by the dictionary, without guessing. Equal scores stand in code point order.
    """
    measured = _measured(grams, thresholds)
    found = [word for word in measured if not is_known(word.word) and not _is_phrase(cut(word.word))]
    return sorted(found, key=lambda word: (-word.score, word.word))


def _is_phrase(tokens: Sequence[str]) -> bool:
    """Say whether a word of grammar begins or ends what was cut: ["的", "时候"] is a phrase."""
    return tokens[0] in BEGINNINGS or tokens[-1] in ENDINGS


def _measured(grams: Any, thresholds: Thresholds) -> Iterator[NewWord]:
    """Yield the n-grams that reach the thresholds."""
    lengths = pc.utf8_length(grams["gram"])
    longer = grams.filter(pc.greater(lengths, 1)).combine_chunks()
    singles = grams.filter(pc.equal(lengths, 1)).group_by("gram", use_threads=False).aggregate([("count", "sum")])
    count_of = _Counts(singles, longer)
    for length in range(2, int(pc.max(lengths).as_py() or 0) + 1):
        rows = longer.filter(pc.equal(pc.utf8_length(longer["gram"]), length))
        if rows.num_rows:
            yield from _of_length(rows, length, count_of, thresholds)


class _Counts:
    """Looks up how often n-grams stand in the corpus, for whole columns at once."""

    def __init__(self, singles: Any, longer: Any) -> None:
        grams = [*singles["gram"].chunks, *longer["gram"].chunks]
        self._grams = pa.concat_arrays(grams) if grams else pa.array([], pa.large_string())
        self._counts = np.concatenate([singles["count_sum"].to_numpy(), longer["count"].to_numpy()])
        self.ideographs = int(pc.sum(singles["count_sum"]).as_py() or 0)

    def of(self, grams: Any) -> Any:
        # A part stands wherever the whole does: it is as frequent at least, and among the frequent ones.
        return self._counts[pc.index_in(grams, value_set=self._grams).to_numpy()].astype(np.float64)


def _of_length(rows: Any, length: int, count_of: _Counts, thresholds: Thresholds) -> Iterator[NewWord]:
    counts = rows["count"].to_numpy().astype(np.float64)
    pmi = np.round(_least_pmi(rows["gram"], length, counts, count_of), DIGITS)
    left, right = (np.round(_entropy(counts, rows[side].to_numpy()), DIGITS) for side in ("left", "right"))
    freedom = np.minimum(left, right)
    is_word = (counts >= thresholds.min_count) & (pmi >= thresholds.min_pmi * (length - 1))
    is_word &= freedom >= thresholds.min_entropy
    chosen = np.flatnonzero(is_word)
    words = rows["gram"].take(pa.array(chosen)).to_pylist()
    columns = (counts.astype(np.int64), pmi, left, right, np.round(pmi * freedom, DIGITS))
    yield from map(NewWord, words, *(column[chosen].tolist() for column in columns))


def _least_pmi(grams: Any, length: int, counts: Any, count_of: _Counts) -> Any:
    least = np.full(len(counts), np.inf)
    for first in range(1, length):
        parts = (pc.utf8_slice_codeunits(grams, 0, first), pc.utf8_slice_codeunits(grams, first, length))
        expected = count_of.of(parts[0]) * count_of.of(parts[1])
        least = np.minimum(least, np.log(count_of.ideographs * counts / expected))
    return least


def _entropy(counts: Any, weights: Any) -> Any:
    """Return ln C - sum(c · ln c) / C; the sum comes in whole parts of `weight`."""
    # No less than none: the parts are rounded.
    return np.maximum(np.log(counts) - weights / (WEIGHT_PARTS * counts), 0.0)
