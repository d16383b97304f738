"""What a classifier knows of a language: numbers for pieces, and weighted n-grams of them. Learned by counting.

Knows no network. The weight of an n-gram in a text is (1 + log of its count) times its inverse document frequency,
1 + log((1 + N) / (1 + n)), and the weights of a text have the length 1 (as scikit-learn's TfidfVectorizer does).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tasks.classify.pieces import n_grams

#: The numbers of what fills up a batch, and of a piece that is not known.
PADDING, UNKNOWN = 0, 1
FIRST_PIECE = 2
#: The longest n-gram, in pieces.
LONGEST_N_GRAM = 3


@dataclass(frozen=True, slots=True)
class WeightedNGrams:
    """The known n-grams of one text."""

    #: (N,) int64, ascending.
    numbers: NDArray[np.int64]
    #: (N,) float32.
    weights: NDArray[np.float32]


class PieceVocabulary:
    """Numbers for pieces; 0 and 1 stand for padding and for what is not known."""

    def __init__(self, known: Sequence[str]) -> None:
        """`known` are the pieces in the order of their numbers."""
        self.known = tuple(known)
        self._numbers = {piece: number for number, piece in enumerate(known, start=FIRST_PIECE)}

    def __len__(self) -> int:
        return len(self.known) + FIRST_PIECE

    def encode(self, sequence: Sequence[str]) -> NDArray[np.int64]:
        """Return the numbers (T,) of pieces."""
        find = self._numbers.get
        return np.fromiter((find(piece, UNKNOWN) for piece in sequence), dtype=np.int64, count=len(sequence))


class NGramVocabulary:
    """Weights for the n-grams of a text."""

    def __init__(self, known: Sequence[str], inverse_frequencies: NDArray[np.float32]) -> None:
        """`known` are the n-grams in the order of their numbers, `inverse_frequencies` (N,) belong to them."""
        self.known = tuple(known)
        self.inverse_frequencies = inverse_frequencies
        self._numbers = {n_gram: number for number, n_gram in enumerate(known)}

    def __len__(self) -> int:
        return len(self.known)

    def encode(self, sequence: list[str]) -> WeightedNGrams:
        """Return the known n-grams of a text's pieces, with weights whose squares add up to 1."""
        find = self._numbers.get
        found = [number for number in map(find, n_grams(sequence, LONGEST_N_GRAM)) if number is not None]
        numbers, counts = np.unique(np.array(found, dtype=np.int64), return_counts=True)
        weights = (1.0 + np.log(counts)) * self.inverse_frequencies[numbers]
        norm = float(np.sqrt(np.square(weights).sum()))
        return WeightedNGrams(numbers, (weights / norm if norm else weights).astype(np.float32))


def learn_pieces(texts: Iterable[Sequence[str]], at_least: int, at_most: int) -> PieceVocabulary:
    """Return the pieces that occur so often, the most frequent first, and no more than `at_most`."""
    counts = Counter(piece for text in texts for piece in text)
    return PieceVocabulary(_most_frequent(counts, at_least, at_most))


def learn_n_grams(texts: Sequence[list[str]], at_least: int, at_most: int) -> NGramVocabulary:
    """Return the n-grams that occur in so many texts, the most frequent first, and no more than `at_most`."""
    counts = Counter(n_gram for text in texts for n_gram in set(n_grams(text, LONGEST_N_GRAM)))
    known = _most_frequent(counts, at_least, at_most)
    inverse = [1.0 + math.log((1 + len(texts)) / (1 + counts[n_gram])) for n_gram in known]
    return NGramVocabulary(known, np.array(inverse, dtype=np.float32))


def _most_frequent(counts: Counter[str], at_least: int, at_most: int) -> list[str]:
    # Equals in order of their characters, so that the order of the texts decides nothing.
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [one for one, count in ranked[:at_most] if count >= at_least]
