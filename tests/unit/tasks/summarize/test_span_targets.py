from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies

from tasks.summarize.span_targets import MIX, span_scores, span_target
from tasks.text.characters import folded
from tasks.text.rouge import rouge

LETTERS = strategies.text("网络模型 的", min_size=1, max_size=25)


@given(LETTERS, LETTERS)
def test_the_scores_of_all_spans_are_their_rouge(text: str, title: str) -> None:
    if not title.strip():
        return
    scores = span_scores(folded(text), folded(title), widths=12)
    for start in range(len(text)):
        for width in range(1, min(12, len(text) - start) + 1):
            expected = rouge(text[start : start + width], title)
            found = scores[:, start, width - 1]
            assert found == pytest.approx([expected.rouge_1.f1, expected.rouge_2.f1, expected.rouge_l.f1])


def test_the_title_itself_has_the_greatest_share() -> None:
    text = "本文提出了一种基于神经网络的成本估算模型"
    target = span_target(folded(text), folded("基于神经网络的成本估算模型"), np.ones((len(text), 20), dtype=bool))
    assert target is not None
    start, width = divmod(int(target.places[0]), 20)
    assert text[start : start + width + 1] == "基于神经网络的成本估算模型"
    assert target.best == pytest.approx(1.0)
    assert target.shares.sum() == pytest.approx(1.0)
    assert np.all(np.diff(target.shares) <= 0)


def test_shares_fall_with_the_score_as_the_temperature_says() -> None:
    text = folded("网络模型")
    allowed = np.ones((4, 4), dtype=bool)
    target = span_target(text, folded("网络"), allowed, temperature=0.5)
    assert target is not None
    scores = np.tensordot(MIX, span_scores(text, folded("网络"), 4), axes=1).ravel()[target.places]
    assert np.log(target.shares[0] / target.shares[1]) == pytest.approx((scores[0] - scores[1]) / 0.5, rel=1e-4)


def test_forbidden_spans_have_no_share() -> None:
    text = "网络模型"
    allowed = np.zeros((4, 4), dtype=bool)
    allowed[2, 1] = True
    target = span_target(folded(text), folded("网络"), allowed)
    assert target is not None
    assert target.places.tolist() == [2 * 4 + 1]


def test_without_allowed_spans_or_without_a_title_there_is_no_target() -> None:
    text = folded("网络模型")
    assert span_target(text, folded("网络"), np.zeros((4, 4), dtype=bool)) is None
    assert span_target(text, folded(" \n"), np.ones((4, 4), dtype=bool)) is None
