from __future__ import annotations

import numpy as np

from tasks.summarize.span_decoding import LikelySpans, _common, central_span
from tasks.text.characters import folded
from tasks.text.rouge import ngrams


def likely(text: str, spans: list[str], shares: list[float]) -> LikelySpans:
    starts = np.array([text.index(span) for span in spans])
    ends = starts + np.array([len(span) for span in spans])
    return LikelySpans(starts, ends, np.log(np.array(shares, dtype=np.float32)))


def test_a_span_that_others_agree_with_beats_a_likelier_one_alone() -> None:
    text = "图像处理很重要，提出基于网络的分割方法研究"
    spans = likely(
        text, ["图像处理", "基于网络的分割", "基于网络的分割方法", "基于网络的分割方法研究"], [0.31, 0.23, 0.23, 0.23]
    )
    assert central_span(folded(text), spans) == 2


def test_a_far_likelier_span_wins() -> None:
    text = "图像处理很重要，提出基于网络的分割方法研究"
    spans = likely(text, ["图像处理", "基于网络的分割", "基于网络的分割方法"], [0.9, 0.05, 0.05])
    assert central_span(folded(text), spans) == 0


def test_two_places_that_say_the_same_help_each_other() -> None:
    text = "小波变换，车辆跟踪。小波变换"
    starts = np.array([5, 0, 10])
    spans = LikelySpans(starts, starts + 4, np.log(np.array([0.4, 0.3, 0.3], dtype=np.float32)))
    assert central_span(folded(text), spans) == 1


def test_one_span_alone_is_chosen() -> None:
    assert central_span(folded("网络模型"), likely("网络模型", ["网络"], [1.0])) == 0


def test_what_spans_have_in_common_is_counted_with_repetitions() -> None:
    numbers = np.array([0, 1, 0, 0, 2])
    common, sizes = _common(numbers, np.array([0, 1, 2]), np.array([4, 5, 3]))
    assert sizes.tolist() == [4, 4, 1]
    assert common.tolist() == [[4, 3, 1], [3, 4, 1], [1, 1, 1]]
    assert ngrams("甲", 2) == []
