"""Chooses pieces of a document by their scores, under a limit of characters and without saying things twice.

Maximal marginal relevance (Carbonell & Goldstein 1998): the next piece is the one of the best score less what the
pieces chosen before already say. Scores come from elsewhere; no text is cut here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tasks.text.rouge import ngrams

#: How much a piece loses that is contained in one chosen before; scores are scaled to 0 … 1.
REPETITION_WEIGHT = 0.5
#: A piece that holds so few characters says nothing by itself.
MIN_PIECE_CHARS = 2


def choose(
    pieces: Sequence[str],
    scores: NDArray[np.float64],
    max_chars: int,
    repetition_weight: float = REPETITION_WEIGHT,
    chosen: Sequence[int] = (),
) -> list[int]:
    """Return the indices of the chosen pieces in source order, those in `chosen` among them.

    Whole pieces only: one that does not fit in what is left is passed over. `max_chars` counts the characters of the
    pieces as they are. Every step costs one pass over the pieces.
    """
    lengths = np.array([len(piece) for piece in pieces], dtype=np.int64)
    grams = [frozenset(ngrams(piece, 2)) for piece in pieces]
    relevance = _scaled(scores)
    repeated = np.zeros(len(pieces))
    taken = list(chosen)
    open_ = lengths >= MIN_PIECE_CHARS
    for index in taken:
        open_[index] = False
        np.maximum(repeated, _contained(grams, index), out=repeated)
    left = max_chars - int(lengths[taken].sum())
    while (candidates := np.flatnonzero(open_ & (lengths <= left))).size:
        worth = relevance[candidates] - repetition_weight * repeated[candidates]
        best = int(candidates[np.argmax(worth)])
        taken.append(best)
        open_[best] = False
        left -= int(lengths[best])
        np.maximum(repeated, _contained(grams, best), out=repeated)
    return sorted(taken)


def _scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    if not scores.size:
        return scores
    low, high = float(scores.min()), float(scores.max())
    return (scores - low) / (high - low) if high > low else np.zeros_like(scores)


def _contained(grams: Sequence[frozenset[str]], index: int) -> NDArray[np.float64]:
    """Return which part of every piece's bigrams the piece at `index` has too."""
    said = grams[index]
    return np.array([len(own & said) / len(own) if own else 0.0 for own in grams])
