"""Chooses among likely spans the one that is expected to agree most with the right one. Knows no network.

Minimum Bayes risk (Goel & Byrne 2000): the spans' shares say how likely each is right, and two spans agree by the F1 of
their characters, of their pairs of characters, and of the positions they have in common. A long span and a part of it
help each other, and so do two places that say the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

#: What it counts for a span that others begin or end where it does: without it, a span between a shorter and a longer
#: likely one would be chosen, and end within a word.
EDGE_WEIGHT = 0.1
#: Repetitions of a character or pair inside one span that are told apart.
MAX_COUNT = 3


@dataclass(frozen=True, slots=True)
class LikelySpans:
    """The K likeliest spans of a window, the likeliest first; there may be none."""

    #: (K,): positions in the window; ends stand behind the last position.
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    #: (K,): logarithms of their shares of all spans.
    log_shares: NDArray[np.float32]


def central_span(points: NDArray[np.uint32], spans: LikelySpans) -> int:
    """Return the index of the span that is expected to agree most; `points` are the window's folded characters."""
    starts, ends = spans.starts, spans.ends
    _, characters = np.unique(points, return_inverse=True)
    pairs = characters[:-1] * (int(characters.max()) + 1) + characters[1:]
    _, pairs = np.unique(pairs, return_inverse=True)
    positions = np.minimum(ends[:, None], ends) - np.maximum(starts[:, None], starts)
    agreement = _f1(np.maximum(positions, 0).astype(np.float32), (ends - starts).astype(np.float32))
    agreement += _f1(*_common(characters, starts, ends))
    agreement += _f1(*_common(pairs, starts, ends - 1))
    shares = np.exp(spans.log_shares - spans.log_shares.max())
    shares /= shares.sum()
    edges = (starts[:, None] == starts).astype(np.float32) + (ends[:, None] == ends)
    return int(np.argmax(((agreement / 3 + EDGE_WEIGHT * edges) * shares).sum(axis=1)))


def _common(
    numbers: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return how many of their numbers any two spans share, with repetitions (K, K), and how many each has (K,)."""
    seen = np.zeros((len(numbers) + 1, int(numbers.max(initial=0)) + 1), dtype=np.int16)
    seen[np.arange(len(numbers)) + 1, numbers] = 1
    np.cumsum(seen, axis=0, out=seen)
    counts = seen[ends] - seen[starts]  # (K, U)
    common = np.zeros((len(starts), len(starts)), dtype=np.float32)
    for least in range(1, MAX_COUNT + 1):
        # The sum of the minima is, over all levels, the number of entries that reach the level in both.
        reached = torch.from_numpy((counts >= least).astype(np.float32))
        # PyTorch's product: NumPy's would start threads of its own, which the worker does not know to hold back.
        common += (reached @ reached.T).numpy()
    return common, common.diagonal().copy()


def _f1(common: NDArray[np.float32], sizes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the F1 of what spans have in common, shape (K, K)."""
    scores: NDArray[np.float32] = 2 * common / np.maximum(sizes[:, None] + sizes, 1)
    return scores
