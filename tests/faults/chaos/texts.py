"""The documents of a schedule: pieces of the sample corpus, each another one, so that nothing is known from before."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import cache

from tests.support.availability import REPOSITORY
from tests.support.reference import texts_of

SAMPLES = ("chapters.jsonl", "abstracts.jsonl.gz")
#: Characters of a document.
SHORTEST, LONGEST = 60, 500


@cache
def _samples() -> Sequence[str]:
    folder = REPOSITORY / "tests" / "samples" / "corpus"
    return [text for name in SAMPLES for text in texts_of(folder / name)]


def draw_texts(chance: random.Random, seed: int, number: int) -> list[str]:
    """Return some texts; the beginning of each is there in no other, of this seed or another."""
    texts = []
    for place in range(number):
        sample = chance.choice(_samples())
        start = chance.randrange(max(1, len(sample) - SHORTEST))
        texts.append(f"第{seed}卷第{place}篇。{sample[start : start + chance.randint(SHORTEST, LONGEST)]}")
    return texts
