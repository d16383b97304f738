"""jieba's guessing of words that are in no dictionary, for all stretches of a text at once.

jieba joins what its dictionary left as single characters by a hidden Markov model. Here the same additions are done in
the same order on arrays, so that the sums are equal to the last bit; jieba-rs has the model with other digits, and cuts
otherwise near a tie. Words that a dictionary forces apart are not known here: who has such words asks jieba.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tasks.text.jieba_engine import ForcedSplits, import_jieba
from tasks.text.token_spans import CutText, TokenChanges, TokenSpans

#: jieba's Han characters.
FIRST_HAN, LAST_HAN = 0x4E00, 0x9FD5
#: Fewer runs are quicker one by one.
LEAST_RUNS = 30
#: A path that is less likely than this takes an impossible step; jieba itself says what becomes of it then.
IMPOSSIBLE = -1e50

_BEGIN, _END, _MIDDLE, _SINGLE = range(4)
_STATES = "BEMS"
#: The two states from which each can be reached, the one with the letter that comes last behind the other.
_WAYS_INTO = ((_END, _SINGLE), (_BEGIN, _MIDDLE), (_BEGIN, _MIDDLE), (_END, _SINGLE))


@dataclass(frozen=True, slots=True)
class _Runs:
    """Stretches of single Han characters, an array for each column, the longest first."""

    #: The number of its first token, and where it begins in the text.
    tokens: Any
    begins: Any
    lengths: Any
    #: Letters, digits or their like stand beside it.
    beside_latin: Any


class _Words(NamedTuple):
    """Words that were guessed, an array for each column."""

    #: The numbers of its first token and of that after its last, and where it begins in the text.
    firsts: Any
    lasts: Any
    begins: Any


class Guesser:
    """Joins single characters into the words that jieba would guess; one dictionary's."""

    def __init__(self, has_word: Callable[[str], bool]) -> None:
        """Take what says whether a word is in the dictionary."""
        self._has_word = has_word
        self._model = _Model()
        self._is_latin = np.zeros(128, np.bool_)
        self._is_latin[[ord(char) for char in map(chr, range(128)) if char.isalnum() or char in "+#&._%-"]] = True

    def changes(self, cut: CutText, done: Iterable[tuple[int, int]]) -> TokenChanges:
        """Return the guessed words of a text, each in the place of its characters.

        `done` are stretches of tokens (from, to) in which nothing is left to be guessed.
        """
        runs = self._runs(cut, done)
        few = len(runs.lengths) < max(LEAST_RUNS, 1)
        firsts, lasts, begins = self._one_by_one(cut.text, runs) if few else self._all_at_once(cut, runs)
        # A character a token.
        return TokenChanges(firsts, lasts, TokenSpans(begins, lasts - firsts))

    def _runs(self, cut: CutText, done: Iterable[tuple[int, int]]) -> _Runs:
        starts, lengths = cut.tokens
        first_codes = cut.codes[starts + 1]
        is_single = (lengths == 1) & (first_codes >= FIRST_HAN) & (first_codes <= LAST_HAN)
        for first, last in done:
            is_single[first:last] = False
        edges = np.flatnonzero(np.diff(is_single, prepend=False, append=False))
        firsts, counts = edges[::2], edges[1::2] - edges[::2]
        order = np.argsort(-counts, kind="stable")
        order = order[: np.count_nonzero(counts > 1)]
        firsts, counts = firsts[order], counts[order]
        begins = starts[firsts]
        before, after = cut.codes[begins], cut.codes[begins + counts + 1]
        beside_latin = self._is_latin[np.minimum(before, 127)] | self._is_latin[np.minimum(after, 127)]
        return _Runs(firsts, begins, counts, beside_latin)

    def _is_left_apart(self, run: str, *, beside_latin: bool) -> bool:
        """Say whether jieba guesses nothing because the whole run, with all beside it, is a word of the dictionary."""
        return not beside_latin and self._has_word(run)

    def _one_by_one(self, text: str, runs: _Runs) -> _Words:
        columns = (runs.tokens, runs.begins, runs.lengths, runs.beside_latin)
        words: list[tuple[int, int, int]] = []
        for token, begin, length, beside_latin in zip(*(column.tolist() for column in columns), strict=True):
            run = text[begin : begin + length]
            if self._is_left_apart(run, beside_latin=beside_latin):
                continue
            start = 0
            for word in _by_jieba(run):
                end = start + len(word)
                if len(word) > 1:
                    words.append((token + start, token + end, begin + start))
                start = end
        return _Words(*np.array(words, np.int64).reshape(-1, 3).T)

    def _all_at_once(self, cut: CutText, runs: _Runs) -> _Words:
        (starts, ends), numbers, scores = self._model.words(cut.codes, runs.begins + 1, runs.lengths)
        is_asked = scores < IMPOSSIBLE
        is_left = is_asked | self._are_left_apart(cut.text, runs, np.unique(numbers))
        keep = ~is_left[numbers]
        numbers, starts, ends = numbers[keep], starts[keep], ends[keep]
        words = _Words(runs.tokens[numbers] + starts, runs.tokens[numbers] + ends, runs.begins[numbers] + starts)
        if not is_asked.any():
            return words
        asked = self._one_by_one(cut.text, _chosen(runs, np.flatnonzero(is_asked)))
        return _Words(*(np.concatenate(columns) for columns in zip(words, asked, strict=True)))

    def _are_left_apart(self, text: str, runs: _Runs, numbers: Any) -> Any:
        """Return for every run whether it is one of some numbers, and left apart (see `_is_left_apart`)."""
        are_left = np.zeros(len(runs.lengths), np.bool_)
        alone = numbers[~runs.beside_latin[numbers]]
        begins, ends = runs.begins[alone].tolist(), (runs.begins + runs.lengths)[alone].tolist()
        words = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
        are_left[alone] = np.fromiter(map(self._has_word, words), np.bool_, len(alone))
        return are_left


def _by_jieba(run: str) -> list[str]:
    # What some dictionary of this process forces apart is jieba's own global state.
    with ForcedSplits(set()):
        return list(import_jieba().finalseg.cut(run))


def _chosen(runs: _Runs, numbers: Any) -> _Runs:
    return _Runs(runs.tokens[numbers], runs.begins[numbers], runs.lengths[numbers], runs.beside_latin[numbers])


class _Model:
    """The parameters of jieba's model, and the search for the likeliest states."""

    def __init__(self) -> None:
        model = import_jieba().finalseg
        impossible = model.MIN_FLOAT
        self._start = [float(model.start_P[state]) for state in _STATES]
        self._step = [[float(model.trans_P[before].get(state, impossible)) for state in _STATES] for before in _STATES]
        # A row for each state, of all characters.
        self._emit = np.full((len(_STATES), LAST_HAN - FIRST_HAN + 1), impossible)
        for number, state in enumerate(_STATES):
            for char, probability in model.emit_P[state].items():
                if FIRST_HAN <= ord(char) <= LAST_HAN:
                    self._emit[number, ord(char) - FIRST_HAN] = probability

    def words(self, codes: Any, begins: Any, lengths: Any) -> tuple[tuple[Any, Any], Any, Any]:
        """Find the words of two characters or more in runs, the longest run first.

        Returns where in their runs the words start and end, the numbers of their runs, and the scores of all runs.
        """
        states, scores = self._likeliest(codes, begins, lengths)
        starts = [np.flatnonzero(row == _BEGIN) for row in states]
        ends = [np.flatnonzero(row == _END) for row in states]
        start_at, start_of = _flattened(starts)
        end_at, end_of = _flattened(ends)
        # Sorted by run and place, the ends come as their starts do.
        by_start, by_end = np.lexsort((start_at, start_of)), np.lexsort((end_at, end_of))
        if len(by_start) != len(by_end):
            # Some run takes an impossible step. Its states mean nothing, and jieba is asked for it anyway.
            possible = scores >= IMPOSSIBLE
            by_start, by_end = by_start[possible[start_of[by_start]]], by_end[possible[end_of[by_end]]]
        return (start_at[by_start], end_at[by_end] + 1), start_of[by_start], scores

    def _likeliest(self, codes: Any, begins: Any, lengths: Any) -> tuple[list[Any], Any]:
        """Return the likeliest states, a row for each place in a run and in it the runs that reach so far; and scores.

        Of equally likely ways jieba takes the state with the letter that comes last, for it compares (score, letter).
        """
        # How many runs have a character at each place.
        reach = [int(np.count_nonzero(lengths > at)) for at in range(int(lengths[0]))]
        scores = np.empty((len(_STATES), len(lengths)))
        for state in range(len(_STATES)):
            scores[state] = self._start[state] + self._emit[state, codes[begins] - FIRST_HAN]
        came_from = [
            self._advance(scores, codes[begins[:count] + at] - FIRST_HAN) for at, count in enumerate(reach) if at
        ]
        is_single = scores[_SINGLE] >= scores[_END]
        final = np.where(is_single, _SINGLE, _END).astype(np.int8)
        states = [final[:count].copy() for count in reach]
        for at in range(len(reach) - 1, 0, -1):
            states[at - 1][: reach[at]] = came_from[at - 1][states[at], np.arange(reach[at])]
        return states, np.where(is_single, scores[_SINGLE], scores[_END])

    def _advance(self, scores: Any, chars: Any) -> Any:
        """Bring the scores of the runs that go on to their next character; return the states that each came from."""
        count = len(chars)
        before = scores[:, :count].copy()
        came_from = np.empty((len(_STATES), count), np.int8)
        for state, (earlier, later) in enumerate(_WAYS_INTO):
            emit = self._emit[state, chars]
            # In jieba's order of additions: another would round otherwise.
            of_earlier = (before[earlier] + self._step[earlier][state]) + emit
            of_later = (before[later] + self._step[later][state]) + emit
            is_later = of_later >= of_earlier
            came_from[state] = np.where(is_later, later, earlier)
            scores[state, :count] = np.where(is_later, of_later, of_earlier)
        return came_from


def _flattened(rows: Sequence[Any]) -> tuple[Any, Any]:
    """Return the places and the runs of marks that are given as the runs at each place."""
    return np.repeat(np.arange(len(rows)), [len(row) for row in rows]), np.concatenate(rows)
