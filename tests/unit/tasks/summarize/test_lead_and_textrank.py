"""The two summarizers that need no model."""

from __future__ import annotations

import pytest

from tasks.nn.backend import UnfitTextError
from tasks.nn.offline import run_all
from tasks.summarize.lead import LeadBackend
from tasks.summarize.selection import choose
from tasks.summarize.summary import Length, Summary
from tasks.summarize.textrank import TextRankBackend
from tasks.text.textrank import clause_ranks

ABSTRACT = (
    "随着互联网的发展,人们的生活有了变化.针对传统入侵检测算法效率低的问题,提出一种基于神经网络的入侵检测算法."
    "该算法先压缩数据,再训练网络.实验结果表明,基于神经网络的算法提高了入侵检测的效率."
)
BACKENDS = [LeadBackend, TextRankBackend]
Backend = type[LeadBackend] | type[TextRankBackend]


def summarize(backend: Backend, text: str, length: Length = "title", max_chars: int | None = None) -> Summary:
    result = run_all(backend(length, max_chars), [text])[0]
    assert isinstance(result, Summary)
    assert result.text == "".join(text[start:end] for start, end in result.spans)
    return result


def test_lead_takes_the_first_clause_or_as_many_as_fit() -> None:
    assert summarize(LeadBackend, ABSTRACT).text == "随着互联网的发展"
    assert summarize(LeadBackend, ABSTRACT, "short", 20).text == "随着互联网的发展,人们的生活有了变化."
    assert summarize(LeadBackend, ABSTRACT, "short", 5).text == "随着互联网"


def test_textrank_takes_the_clause_that_shares_most() -> None:
    assert summarize(TextRankBackend, ABSTRACT).text == "提出一种基于神经网络的入侵检测算法"


def test_a_longer_summary_has_several_clauses_in_source_order() -> None:
    summary = summarize(TextRankBackend, ABSTRACT, "short", 60)
    assert len(summary.text) > 30
    assert list(summary.spans) == sorted(summary.spans)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("length", ["title", "short", "long"])
@pytest.mark.parametrize(
    "text",
    [
        "😀" * 1000,
        "The quick brown fox jumps over the lazy dog, and so on. " * 50,
        "一" * 100_000,
        "。" * 1000,
        "甲乙丙丁，" * 200_000,
        "\n".join(["目录", "第一章", "第二章"] * 100),
    ],
    ids=["emoji", "latin", "one_sentence", "marks", "a_million", "headings"],
)
def test_every_text_has_a_summary_within_the_limit(backend: Backend, length: Length, text: str) -> None:
    assert 0 < len(summarize(backend, text, length).text) <= {"title": 48, "short": 100, "long": 300}[length]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_short_text_is_its_own_summary(backend: Backend) -> None:
    assert summarize(backend, "你好，世界。\n").text == "你好，世界。"


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_text_is_unfit(backend: Backend) -> None:
    results = run_all(backend("title"), ["", " \n", "你好"])
    assert [getattr(result, "reason", None) for result in results] == ["empty_text", "empty_text", None]
    assert isinstance(results[0], UnfitTextError)


def test_a_different_algorithm_has_a_different_digest() -> None:
    assert LeadBackend("title").digest != TextRankBackend("title").digest
    assert len(LeadBackend("title").digest) == 64


def test_ranks_sum_to_one_and_a_lonely_clause_ranks_lowest() -> None:
    ranks = clause_ranks(["神经网络算法", "基于神经网络", "网络算法改进", "天气晴朗"])
    assert ranks.sum() == pytest.approx(1, abs=0.3)
    assert ranks.argmin() == 3
    assert clause_ranks([]).size == 0
    assert clause_ranks(["甲"]).size == 1


def test_pieces_are_chosen_by_score_under_the_limit_and_in_source_order() -> None:
    ranks = clause_ranks(["甲乙"] * 3)
    ranks[:] = [1, 3, 2]
    assert choose(["天地玄黄", "宇宙洪荒", "日月盈昃"], ranks, 8) == [1, 2]
    assert choose(["天地玄黄", "宇宙洪荒", "日月盈昃"], ranks, 7) == [1]
    assert choose(["天地玄黄", "宇宙洪荒", "日月盈昃"], ranks, 3) == []


def test_what_was_said_is_not_said_again() -> None:
    ranks = clause_ranks(["甲乙"] * 3)
    ranks[:] = [3, 2.9, 2]
    pieces = ["基于神经网络的算法", "神经网络的算法", "天气晴朗"]
    assert choose(pieces, ranks, 16, repetition_weight=1.0) == [0, 2]
    assert choose(pieces, ranks, 16, repetition_weight=0.0) == [0, 1]


def test_what_is_chosen_already_stays_and_counts() -> None:
    ranks = clause_ranks(["甲乙"] * 3)
    ranks[:] = [1, 3, 2]
    assert choose(["天地玄黄", "宇宙洪荒", "日月盈昃"], ranks, 8, chosen=[0]) == [0, 1]
