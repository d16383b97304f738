from __future__ import annotations

import math

import pytest

from storage.label_scores import pack, probability, unpack
from tests.support.availability import need_module


def test_packed_scores_are_the_bytes_that_numpy_writes_anywhere() -> None:
    np = need_module("numpy")
    scores = [0.5, -3.25, 1e-8, 60.0]
    assert pack(scores) == np.asarray(scores, "<f4").tobytes()
    assert unpack(pack(scores)) == tuple(np.asarray(scores, "float32").tolist())
    assert unpack(pack([])) == ()


@pytest.mark.parametrize(("score", "scale"), [(0.0, 2.0), (1.5, 2.0), (-1.5, 2.0), (0.7, 1.0), (-30.0, 0.5)])
def test_a_probability_is_the_sigmoid_of_the_scaled_score(score: float, scale: float) -> None:
    assert probability(score, scale) == pytest.approx(1 / (1 + math.exp(-scale * score)), rel=1e-12)


def test_extreme_scores_have_probabilities_too() -> None:
    assert probability(1e6, 2.0) == 1.0
    assert probability(-1e6, 2.0) == 0.0
    assert probability(-100.0, 2.0) == pytest.approx(math.exp(-200.0))
