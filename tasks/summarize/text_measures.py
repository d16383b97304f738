"""Measures how a summary is made of its document: what it copies, what is new in it, what it repeats. Needs no model.

All texts must be normalized (`tasks.text.rouge.normalize`); everything counts characters.
"""

from __future__ import annotations

from tasks.text.rouge import ngrams

#: Characters of the runs that should not occur twice.
REPEATED_SIZE = 3


def repetition(summary: str, size: int = REPEATED_SIZE) -> float | None:
    """Return the share of runs of `size` characters that occurred before, 0 … 1; None for a text without any.

    1 - distinct / all, as seq-rep-n of Welleck et al. 2020 ("Neural Text Generation with Unlikelihood Training").
    """
    grams = ngrams(summary, size)
    return 1 - len(set(grams)) / len(grams) if grams else None


def novelty(summary: str, source: str, size: int) -> float | None:
    """Return the share of runs of `size` characters that the source has nowhere, 0 … 1; None for a text without any."""
    grams = ngrams(summary, size)
    return sum(gram not in source for gram in grams) / len(grams) if grams else None


def copied_fragments(summary: str, source: str) -> list[int]:
    """Return the lengths of the longest stretches that the source has too, in their order and without overlap.

    Greedy, from the left, as F(A, S) of Grusky et al. 2018 ("Newsroom"): `("甲方法乙", "方法甲")` -> `[1, 2]`.
    """
    lengths = []
    start = 0
    while start < len(summary):
        end = start
        while end < len(summary) and summary[start : end + 1] in source:
            end += 1
        if end > start:
            lengths.append(end - start)
        start = max(end, start + 1)
    return lengths


def coverage(fragments: list[int], summary: str) -> float:
    """Return the share of the summary's characters inside copied fragments, 0 … 1."""
    return sum(fragments) / len(summary)


def density(fragments: list[int], summary: str) -> float:
    """Return how long the copied fragment is, on average, that a character of the summary is in."""
    return sum(length**2 for length in fragments) / len(summary)
