"""Counts of words by month, by their numbers. Takes room for the pairs of word and month that occur, not for all."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tasks.text.word_numbers import NumberedTokens

#: A key is a month, and below it the number of a word.
_NUMBER_BITS = 32
#: Rows that wait before they are added up: 24 bytes each.
PENDING_ROWS = 1_000_000


class MonthRows(NamedTuple):
    """Arrays, one row for each word of each month."""

    numbers: Any
    months: Any
    counts: Any
    documents: Any


class MonthCounts:
    """How often words stand in the documents of each month, and in how many of those."""

    __slots__ = ("_pending", "_pending_rows", "_summed")

    def __init__(self) -> None:
        """Begin with nothing counted."""
        self._summed = _Sums(*(np.zeros(0, np.int64) for _ in range(3)))
        self._pending: list[_Sums] = []
        self._pending_rows = 0

    def add(self, tokens: NumberedTokens, months: Any) -> None:
        """Count documents, given as their tokens and the month of each text."""
        numbers, texts, counts = _counted_by_text(tokens)
        self.add_rows(MonthRows(numbers, months[texts], counts, np.ones(len(counts), np.int64)))

    def add_rows(self, rows: MonthRows) -> None:
        """Add what was counted elsewhere."""
        sums = _summed([_Sums(rows.months << _NUMBER_BITS | rows.numbers, rows.counts, rows.documents)])
        self._pending.append(sums)
        self._pending_rows += len(sums.keys)
        # Twice what there is: otherwise a large sum would be added up again after every few documents.
        if self._pending_rows >= max(PENDING_ROWS, 2 * len(self._summed.keys)):
            self._settle()

    def rows(self) -> MonthRows:
        """Return what was counted, by month and then by number."""
        self._settle()
        keys, counts, documents = self._summed
        return MonthRows(keys & (1 << _NUMBER_BITS) - 1, keys >> _NUMBER_BITS, counts, documents)

    def kept(self, is_kept: Any) -> MonthCounts:
        """Return the counts of the words for whose numbers an array says so."""
        rows, kept = self.rows(), MonthCounts()
        kept.add_rows(MonthRows(*(column[is_kept[rows.numbers]] for column in rows)))
        return kept

    def _settle(self) -> None:
        self._summed = _summed([self._summed, *self._pending])
        self._pending, self._pending_rows = [], 0


class _Sums(NamedTuple):
    keys: Any
    counts: Any
    documents: Any


def _summed(parts: list[_Sums]) -> _Sums:
    """Return the parts with each key once, in order."""
    keys, counts, documents = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = _first_of_equals(keys)
    return _Sums(keys[starts], np.add.reduceat(counts[order], starts), np.add.reduceat(documents[order], starts))


def _counted_by_text(tokens: NumberedTokens) -> tuple[Any, Any, Any]:
    """Return number, text and count of each word of each text."""
    pairs = tokens.texts.astype(np.int64) << _NUMBER_BITS | tokens.words
    pairs.sort()
    starts = _first_of_equals(pairs)
    pairs, counts = pairs[starts], np.diff(starts, append=len(pairs))
    return pairs & (1 << _NUMBER_BITS) - 1, pairs >> _NUMBER_BITS, counts


def _first_of_equals(ordered: Any) -> Any:
    """Return where in an array in order each value stands first."""
    is_first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    return np.flatnonzero(is_first)
