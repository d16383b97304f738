"""Inputs by number: the same seed and number give the same file, in any process, on any machine."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.fuzz.bad_input import BadInput, bad_input
from tests.fuzz.checks import Judged, judge

Item = TypeVar("Item")


class SeededChoices:
    """Decisions of a pseudo-random source; hypothesis gives one that it can shrink."""

    def __init__(self, source: random.Random) -> None:
        self._source = source

    @classmethod
    def of(cls, seed: int, number: int) -> SeededChoices:
        """Return the choices that make one input of a seed."""
        return cls(random.Random(f"{seed}/{number}"))

    def integer(self, low: int, high: int) -> int:
        """Return a number from `low` to `high`, both included."""
        return self._source.randint(low, high)

    def choose(self, items: Sequence[Item]) -> Item:
        """Return one of some items."""
        return items[self._source.randint(0, len(items) - 1)]


def input_of(seed: int, number: int) -> BadInput:
    """Return one input of a seed."""
    return bad_input(SeededChoices.of(seed, number))


def judge_number(seed: int, number: int, folder: Path) -> tuple[BadInput, Judged]:
    """Make one input of a seed and judge it, in a folder of its own."""
    choices = SeededChoices.of(seed, number)
    given = bad_input(choices)
    return given, judge(choices, given, folder / str(number))
