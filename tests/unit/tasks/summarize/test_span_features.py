from __future__ import annotations

import numpy as np
import pytest

from tasks.summarize.span_features import BUCKETS, PairStatistics, pair_buckets, span_limits
from tasks.text.characters import folded


def allowed(text: str, max_width: int = 48) -> set[str]:
    room, ends = span_limits(text, max_width)
    return {
        text[start:end]
        for start in range(len(text))
        for end in range(start + 1, len(text) + 1)
        if end - start <= room[start] and ends[end - 1]
    }


@pytest.mark.parametrize("mark", ["。", "；", "！", "？", "!", "?", ";", "\n"])
def test_no_span_crosses_the_end_of_a_sentence(mark: str) -> None:
    spans = allowed(f"提出方法{mark}实验表明")
    assert "提出方法" in spans
    assert "实验表明" in spans
    assert not any(mark in span for span in spans)


def test_a_half_width_full_stop_ends_a_sentence_and_a_decimal_point_does_not() -> None:
    spans = allowed("误差为3.14毫米.方法有效")
    assert "误差为3.14毫米" in spans
    assert not any("毫米.方" in span for span in spans)


def test_a_sentence_end_inside_brackets_is_not_crossed_either() -> None:
    assert not any("。" in span for span in allowed("（见图。）方法有效"))


def test_a_span_may_cross_a_comma_but_not_begin_or_end_with_it() -> None:
    spans = allowed("对图像,提出算法")
    assert "对图像,提出算法" in spans
    assert not any(span[0] == "," or span[-1] == "," for span in spans)


def test_latin_words_and_numbers_are_not_cut() -> None:
    spans = allowed("基于Faster R-CNN的3.5版")
    assert "R-CNN的3.5版" in spans
    assert not any(span.startswith(("aster", "CNN", "5")) or span.endswith(("Fast", "3")) for span in spans)


def test_a_very_long_latin_word_may_be_cut() -> None:
    assert "a" * 20 in allowed("a" * 60)


def test_a_text_of_emoji_only_has_no_spans() -> None:
    assert allowed("😀😂🎉" * 5) == set()


def test_no_span_is_wider_than_asked() -> None:
    assert max(map(len, allowed("研究方法" * 20, max_width=7))) == 7


def test_a_pair_has_the_same_bucket_everywhere() -> None:
    first, second = pair_buckets(folded("网络模型")), pair_buckets(folded("神经网络"))
    assert first[0] == second[2]
    assert len(set(first.tolist())) == 4
    assert first.max() < BUCKETS


def test_what_is_frequent_in_titles_and_rare_in_texts_is_title_like() -> None:
    statistics = PairStatistics.count(["结果表明方法有效"] * 9, ["算法研究"] * 9)
    features = statistics.features(folded("结果研究"))
    assert features[2, 2] > features[0, 2]
    assert features[2, 1] > features[0, 1]


def test_a_counted_text_looks_as_if_it_had_not_been_counted() -> None:
    texts = ["神经网络模型", "网络安全研究", "图像处理算法"]
    with_it = PairStatistics.count(texts, ["网络"]).features(folded(texts[0]), counted=True)
    without = PairStatistics.count(texts[1:], ["网络"]).features(folded(texts[0]))
    order = np.argsort(with_it[:, 1], kind="stable")
    assert np.all(np.diff(without[order, 1]) >= -1e-6)


def test_repeated_pairs_are_seen() -> None:
    features = PairStatistics.count([], []).features(folded("网络和网络"))
    assert features[:, 0].tolist() == [0.5, 0.0, 0.0, 0.5, 0.0]


def test_without_titles_there_is_no_opinion_on_titles() -> None:
    assert not PairStatistics.count(["研究"], []).features(folded("研究方法"))[:, 2].any()
