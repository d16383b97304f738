"""How central the clauses of a text are: PageRank over their common character bigrams. Chooses and cuts nothing.

TextRank (Mihalcea & Tarau 2004) with clauses for sentences and bigrams of characters for words, so that it needs no
segmenter; the weight of two clauses is the number of bigrams that they share over the logarithms of their sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: The part of a clause's rank that comes from its neighbours (Brin & Page 1998).
DAMPING = 0.85
#: Steps of the power iteration; 0.85 to this power is below one per cent.
ITERATIONS = 30


def clause_ranks(clauses: Sequence[str]) -> NDArray[np.float64]:
    """Return a rank for every clause; they sum to about 1. Memory grows with the square of their number.

    Clauses should be normalized as for ROUGE, or case and width will tell equal words apart.
    """
    if not clauses:
        return np.zeros(0)
    weights = _shared_bigrams(clauses)
    totals = weights.sum(axis=0)
    transition = weights / np.where(totals > 0, totals, 1.0)
    ranks = np.full(len(clauses), 1.0 / len(clauses))
    for _ in range(ITERATIONS):
        ranks = (1.0 - DAMPING) / len(clauses) + DAMPING * (transition @ ranks)
    return ranks


def _shared_bigrams(clauses: Sequence[str]) -> NDArray[np.float64]:
    """Return the weights between clauses, shape (N, N), symmetric, 0 on the diagonal."""
    grams = [_bigrams(clause) for clause in clauses]
    _, columns = np.unique(np.concatenate(grams), return_inverse=True)
    rows = np.repeat(np.arange(len(clauses)), [len(gram) for gram in grams])
    has = np.zeros((len(clauses), max(1, int(columns.max(initial=-1)) + 1)), dtype=np.float32)  # (N, V)
    has[rows, columns] = 1.0
    sizes = np.log1p(np.maximum(has.sum(axis=1), 1.0))
    weights: NDArray[np.float64] = (has @ has.T).astype(np.float64) / (sizes[:, None] + sizes[None, :])
    np.fill_diagonal(weights, 0.0)
    return weights


def _bigrams(clause: str) -> NDArray[np.uint64]:
    """Return every bigram of a clause as one number; code points have 21 bits."""
    # A lone surrogate is a character too.
    codes = np.frombuffer(clause.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    return (codes[:-1] << np.uint64(21)) | codes[1:]
