"""ROUGE-1, ROUGE-2 and ROUGE-L on the characters of two texts. Knows no words, no stemming and no stop words.

The measure is that of Lin (2004), "ROUGE: A Package for Automatic Evaluation of Summaries": n-grams with clipped
counts, longest common subsequence, F1 of precision and recall. `compat="pltrdy"` is the convention of most published
tables of Chinese titles (CSL, LCSTS): sets instead of counts, as the package `rouge` 1.0.1 computes by default.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

#: `clipped`: repeated n-grams count as often as they occur on both sides; `pltrdy`: every n-gram counts once.
Convention = Literal["clipped", "pltrdy"]

#: The full stop at which the package `rouge` cuts its input into sentences, and which it thereby drops.
_PLTRDY_SENTENCE_END = "."


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and their harmonic mean, as fractions."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Rouge:
    """The three scores of a pair of texts."""

    rouge_1: Score
    rouge_2: Score
    rouge_l: Score


def normalize(text: str) -> str:
    """Return the characters that are compared: NFKC, lower case, no white space. `Ａ b，` -> `ab,`."""
    return "".join(unicodedata.normalize("NFKC", text).lower().split())


def rouge(candidate: str, reference: str, compat: Convention = "clipped") -> Rouge:
    """Return the scores of a candidate against a reference; both are normalized first.

    A candidate or reference without characters (or, for bigrams, with fewer than two) scores 0.
    """
    candidate, reference = normalize(candidate), normalize(reference)
    return _pltrdy(candidate, reference) if compat == "pltrdy" else rouge_of_normalized(candidate, reference)


def rouge_of_normalized(candidate: str, reference: str) -> Rouge:
    """Return the clipped scores of two texts that `normalize` returned."""
    shared = lcs_length(candidate, reference)
    return Rouge(
        _clipped(candidate, reference, 1),
        _clipped(candidate, reference, 2),
        _score(shared, len(candidate), len(reference)),
    )


def ngrams(text: str, size: int) -> list[str]:
    """Return the runs of `size` characters in their order: `("计算机", 2)` -> `["计算", "算机"]`."""
    return [text[start : start + size] for start in range(len(text) - size + 1)]


def lcs_length(first: str, second: str) -> int:
    """Return the length of the longest common subsequence of two strings.

    Bit-parallel (Hyyrö 2004, "Bit-parallel LCS-length computation revisited"): one bit of an integer for each character
    of `first`, one step for each character of `second`; bits that became 0 count the common characters.
    """
    positions: dict[str, int] = {}
    for position, character in enumerate(first):
        positions[character] = positions.get(character, 0) | 1 << position
    everything = (1 << len(first)) - 1
    row = everything
    for character in second:
        matches = row & positions.get(character, 0)
        row = (row + matches | row - matches) & everything
    return len(first) - row.bit_count()


def _score(shared: int, candidate_size: int, reference_size: int) -> Score:
    if not shared:
        return Score(0.0, 0.0, 0.0)
    precision, recall = shared / candidate_size, shared / reference_size
    return Score(precision, recall, 2 * precision * recall / (precision + recall))


def _clipped(candidate: str, reference: str, size: int) -> Score:
    counts, wanted = Counter(ngrams(candidate, size)), Counter(ngrams(reference, size))
    return _score((counts & wanted).total(), counts.total(), wanted.total())


def _pltrdy(candidate: str, reference: str) -> Rouge:
    candidate_sentences = [part for part in candidate.split(_PLTRDY_SENTENCE_END) if part]
    reference_sentences = [part for part in reference.split(_PLTRDY_SENTENCE_END) if part]
    candidate, reference = "".join(candidate_sentences), "".join(reference_sentences)
    # Characters of the subsequences of every pair of sentences, each counted once.
    shared: set[str] = set()
    for wanted in reference_sentences:
        for sentence in candidate_sentences:
            shared |= _subsequence_characters(wanted, sentence)
    return Rouge(
        _sets(candidate, reference, 1),
        _sets(candidate, reference, 2),
        _score(len(shared), len(set(candidate)), len(set(reference))),
    )


def _sets(candidate: str, reference: str, size: int) -> Score:
    found, wanted = set(ngrams(candidate, size)), set(ngrams(reference, size))
    return _score(len(found & wanted), len(found), len(wanted))


def _subsequence_characters(reference: str, candidate: str) -> set[str]:
    """Return the characters of one longest common subsequence, by the package's choice among equally long ones."""
    table = _lcs_table(reference, candidate)
    row, column = len(reference), len(candidate)
    characters: set[str] = set()
    while row and column:
        if reference[row - 1] == candidate[column - 1]:
            row, column = row - 1, column - 1
            characters.add(reference[row])
        elif table[row - 1][column] > table[row][column - 1]:
            row -= 1
        else:
            column -= 1
    return characters


def _lcs_table(first: str, second: str) -> Sequence[Sequence[int]]:
    table = [[0] * (len(second) + 1)]
    for character in first:
        above, row = table[-1], [0]
        for column, other in enumerate(second):
            row.append(above[column] + 1 if character == other else max(above[column + 1], row[column]))
        table.append(row)
    return table
