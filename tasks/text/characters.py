"""Characters as numbers for networks: folded code points, and a vocabulary of the frequent ones. Knows no words.

Folding keeps the length, so that a position in the numbers is a position in the text: NFKC and lower case where the
result is one character, and every kind of white space is a blank.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: What fills a batch behind a text's end, and what stands for a character that the vocabulary does not have.
PADDING = 0
UNKNOWN = 1
FIRST_CHARACTER = 2
#: Beyond this plane (rare characters, emoji) nothing is folded.
BASIC_PLANE = 1 << 16


def code_points(text: str) -> NDArray[np.uint32]:
    """Return the code points of a text, lone surrogates included."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)


def folded(text: str) -> NDArray[np.uint32]:
    """Return the code points after folding: `"Ａ１，中"` -> those of `"a1,中"`."""
    points = code_points(text)
    return np.where(points < BASIC_PLANE, _folding()[np.minimum(points, BASIC_PLANE - 1)], points)


class CharacterVocabulary:
    """A list of folded characters; the first has the number 2."""

    def __init__(self, characters: Sequence[str]) -> None:
        """Keep the order; raises ValueError for an entry that is not one character, or occurs twice."""
        if any(len(character) != 1 for character in characters) or len(set(characters)) != len(characters):
            message = "a vocabulary of characters has one character an entry, and each only once"
            raise ValueError(message)
        self.characters = tuple(characters)
        self._numbers = np.full(sys.maxunicode + 1, UNKNOWN, dtype=np.int32)
        numbers = np.arange(len(characters), dtype=np.int32) + FIRST_CHARACTER
        self._numbers[code_points("".join(characters))] = numbers

    @property
    def size(self) -> int:
        """How many numbers there are, padding and unknown among them."""
        return len(self.characters) + FIRST_CHARACTER

    def encode(self, points: NDArray[np.uint32]) -> NDArray[np.int32]:
        """Return the number of every folded code point."""
        return self._numbers[points]

    def to_text(self) -> str:
        """Return the vocabulary as a file has it: one character a line."""
        return "".join(character + "\n" for character in self.characters)

    @classmethod
    def from_text(cls, text: str) -> CharacterVocabulary:
        """Read what `to_text` wrote; raises ValueError for anything else."""
        return cls(text.removesuffix("\n").split("\n"))


def frequent_characters(texts: Iterable[str], min_count: int) -> CharacterVocabulary:
    """Return the folded characters that occur at least `min_count` times, the most frequent first."""
    counts = np.zeros(sys.maxunicode + 1, dtype=np.int64)
    for text in texts:
        np.add.at(counts, folded(text), 1)
    # A stable sort: equally frequent characters stand in the order of their code points, on every machine.
    order = np.argsort(-counts, kind="stable")
    kept = order[: int((counts >= min_count).sum())]
    return CharacterVocabulary([chr(point) for point in kept])


@lru_cache(maxsize=1)
def _folding() -> NDArray[np.uint32]:
    return np.array([_fold(chr(point)) for point in range(BASIC_PLANE)], dtype=np.uint32)


def _fold(character: str) -> int:
    if character.isspace():
        return ord(" ")
    result = unicodedata.normalize("NFKC", character).lower()
    return ord(result) if len(result) == 1 else ord(character)
