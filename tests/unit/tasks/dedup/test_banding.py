"""Bands: texts that are alike enough agree in one, nearly always."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.dedup.banding import RECALL, SLOTS, Layout, band_keys, layout_for


@pytest.mark.parametrize(
    ("similarity", "layout"), [(0.5, Layout(64, 2)), (0.8, Layout(25, 5)), (0.9, Layout(16, 8)), (0.99, Layout(8, 16))]
)
def test_a_layout_compares_as_few_pairs_as_it_can(similarity: float, layout: Layout) -> None:
    assert layout_for(similarity) == layout
    assert layout.chance(similarity) >= RECALL
    assert layout.slots <= SLOTS


def test_equal_rows_have_equal_keys_and_others_others() -> None:
    band = np.array([[1, 2, 3, 4, 5], [1, 2, 3, 4, 5], [5, 4, 3, 2, 1], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], np.uint16)
    keys = band_keys(band).tolist()
    assert keys[0] == keys[1]
    assert len(set(keys)) == 4
