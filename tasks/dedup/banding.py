"""How signatures are cut into bands, so that only texts which agree in a whole band are compared with each other.

Locality-sensitive hashing as in Leskovec, Rajaraman and Ullman, "Mining of Massive Datasets", chapter 3: texts of
similarity s agree in one of b bands of r numbers with the probability 1 - (1 - s^r)^b.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tasks.dedup.signatures import mix

#: Numbers of a signature, at most.
SLOTS = 128
#: Numbers of a band, at most.
MOST_ROWS = 16
#: A pair that is exactly as similar as it must be is compared with this probability at least.
RECALL = 0.999


@dataclass(frozen=True, slots=True)
class Layout:
    """So many bands of so many numbers each."""

    bands: int
    rows: int

    @property
    def slots(self) -> int:
        """Numbers of a whole signature."""
        return self.bands * self.rows

    def chance(self, similarity: float) -> float:
        """Return the probability that two texts so similar are compared."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands


def layout_for(similarity: float) -> Layout:
    """Return the layout that finds pairs of a similarity and compares as few others as it can.

    `0.8 -> 25 bands of 5`, `0.5 -> 64 bands of 2`.
    """
    layouts = [Layout(SLOTS // rows, rows) for rows in range(1, MOST_ROWS + 1)]
    return max((layout for layout in layouts if layout.chance(similarity) >= RECALL), key=lambda one: one.rows)


def band_keys(band: Any) -> Any:
    """Return a 64-bit number for each row of a band, (texts, rows) numbers; equal rows have equal ones."""
    keys = np.zeros(len(band), np.uint64)
    for column in range(band.shape[1]):
        keys ^= band[:, column]
        mix(keys)
    return keys
