"""Keeps a beam search from writing numbers that its document does not have. Changes nothing else of what it writes.

While a number is written, only what leads to a whole number of the document's window may follow, and nothing may end it
halfway: of `2024年投资12万元` a summary may write 2024 and 12万, but neither 202, 12 nor 1. What a number is, and that
numerals which stand alone are none, says `tasks.text.number_mentions`; by its measure nothing is invented. Which of the
document's numbers stands where remains the network's choice.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tasks.text.number_mentions import NUMERALS, SEPARATORS, Commas, extended, finished, numbers, read

#: What the window may have cut, if it ends so.
_CUT_END = re.compile(rf"[\d{NUMERALS}{SEPARATORS}]+\Z")


@dataclass(frozen=True, slots=True)
class WritableTokens:
    """The tokens that characters may be written by."""

    #: By token, what may be part of a number.
    parts: Mapping[int, str]
    #: All others.
    others: Sequence[int]

    @classmethod
    def of(cls, characters: Mapping[int, str]) -> WritableTokens:
        """Tell the tokens of these characters apart."""
        parts = {token: character for token, character in characters.items() if _is_part(character)}
        return cls(parts, tuple(token for token in characters if token not in parts))

    def __add__(self, more: WritableTokens) -> WritableTokens:
        return WritableTokens({**self.parts, **more.parts}, (*self.others, *more.others))


class NumberLimits:
    """What may not follow in a summary of one window: a `tasks.nn.beam_search.Forbids`."""

    def __init__(self, piece: str, writable: WritableTokens, end: int, max_length: int) -> None:
        """Take the window's text, the tokens that may be written in it, the token of the end, and the longest text."""
        self._missing = _missing(_whole_numbers(piece))
        self._parts = writable.parts
        self._others = writable.others
        self._end = end
        self._max_length = max_length

    def __call__(self, tokens: Sequence[int]) -> Iterable[int]:
        """Return the tokens that may not follow."""
        run = self._open(tokens)
        left = self._max_length - len(tokens) - 1
        parts = [token for token, character in self._parts.items() if not self._may_follow(run, character, left)]
        if self._lacks(run) == 0:
            return parts
        # Only what goes on with the number may follow, and that is among its parts.
        return [self._end, *parts, *self._others]

    def kept(self, tokens: Sequence[int]) -> Sequence[int]:
        """Return a text without a number that its end has cut; what the search has ended by itself stays whole."""
        run = self._open(tokens)
        return tokens[: len(tokens) - len(run)] if self._lacks(run) else tokens

    def _open(self, tokens: Sequence[int]) -> str:
        run = ""
        for token in tokens:
            character = self._parts.get(token)
            run = "" if character is None else extended(run, character)
        return run

    def _may_follow(self, run: str, character: str, left: int) -> bool:
        grown = extended(run, character)
        goes_on = grown == run + character
        return (goes_on or self._lacks(run) == 0) and self._lacks(grown) <= left

    def _lacks(self, run: str) -> float:
        """Return how many characters a run is short of a number of the document; infinity if it becomes none."""
        number = finished(run)
        if not number or self._missing.get(number) == 0:
            return 0
        return self._missing.get(run, math.inf)


def _whole_numbers(piece: str) -> set[str]:
    found: set[str] = set()
    readings: tuple[Commas, ...] = ("punctuation", "folded")
    for commas in readings:
        found |= {*numbers(_CUT_END.sub("", read(piece, commas)), "folded")}
    return found


def _missing(whole: Iterable[str]) -> Mapping[str, int]:
    """Return for every beginning of a number the fewest characters that complete it."""
    missing: dict[str, int] = {}
    for number in whole:
        for size in range(1, len(number) + 1):
            lacking = len(number) - size
            missing[number[:size]] = min(missing.get(number[:size], lacking), lacking)
    return missing


def _is_part(character: str) -> bool:
    return character.isdecimal() or character in NUMERALS or character in SEPARATORS
