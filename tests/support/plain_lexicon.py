"""New words by the plainest loops there are, from the texts themselves: what `tasks.discover` must come to."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

#: Ideographs with whatever stands before and behind them.
RUN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")


@dataclass(frozen=True, slots=True)
class PlainGram:
    """An n-gram with its figures."""

    count: int
    pmi: float
    left_entropy: float
    right_entropy: float


def plain_grams(texts: Sequence[str], max_length: int) -> dict[str, PlainGram]:
    """Return every n-gram of two ideographs or more."""
    counts: Counter[str] = Counter()
    left: dict[str, Counter[str]] = defaultdict(Counter)
    right: dict[str, Counter[str]] = defaultdict(Counter)
    for number, text in enumerate(texts):
        for run in RUN.finditer(text):
            for start in range(run.start(), run.end()):
                for end in range(start + 1, min(start + max_length, run.end()) + 1):
                    gram = text[start:end]
                    counts[gram] += 1
                    left[gram][_neighbour(text, start - 1, number)] += 1
                    right[gram][_neighbour(text, end, number)] += 1
    total = sum(count for gram, count in counts.items() if len(gram) == 1)
    return {
        gram: PlainGram(count, _least_pmi(gram, counts, total), _entropy(left[gram]), _entropy(right[gram]))
        for gram, count in counts.items()
        if len(gram) > 1
    }


def _neighbour(text: str, place: int, number: int) -> str:
    """Return the character at a place; ends are each their own, letters and digits all the same."""
    character = text[place] if 0 <= place < len(text) else ""
    if RUN.match(character):
        return character
    return "a" if character.isalnum() else f"end {number} {place}"


def _least_pmi(gram: str, counts: Counter[str], total: int) -> float:
    return min(
        math.log(total * counts[gram] / (counts[gram[:cut]] * counts[gram[cut:]])) for cut in range(1, len(gram))
    )


def _entropy(neighbours: Counter[str]) -> float:
    total = neighbours.total()
    return -sum(count / total * math.log(count / total) for count in neighbours.values())
