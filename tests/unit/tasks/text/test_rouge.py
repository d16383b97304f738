"""ROUGE on characters."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from tasks.text.rouge import Convention, Rouge, lcs_length, normalize, rouge

TEXTS = st.text(alphabet="计算机网络ab1, 。", max_size=40)


class Characters:
    """A tokenizer for `rouge-score`, whose own keeps nothing but [a-z0-9]."""

    def tokenize(self, text: str) -> list[str]:
        return list(text)


SCORER = RougeScorer(["rouge1", "rouge2", "rougeL"], tokenizer=Characters())


def assert_agrees_with_rouge_score(candidate: str, reference: str) -> None:
    ours = rouge(candidate, reference)
    theirs = SCORER.score(normalize(reference), normalize(candidate))
    for score, name in ((ours.rouge_1, "rouge1"), (ours.rouge_2, "rouge2"), (ours.rouge_l, "rougeL")):
        assert score.precision == pytest.approx(theirs[name].precision)
        assert score.recall == pytest.approx(theirs[name].recall)
        assert score.f1 == pytest.approx(theirs[name].fmeasure)


@settings(max_examples=1000, deadline=None)
@given(TEXTS, TEXTS)
def test_scores_are_those_of_rouge_score_with_characters_for_tokens(candidate: str, reference: str) -> None:
    assert_agrees_with_rouge_score(candidate, reference)


def test_long_texts_agree_too() -> None:
    dice = random.Random(0)
    for _ in range(5):
        assert_agrees_with_rouge_score(
            "".join(dice.choices("甲乙丙丁", k=300)), "".join(dice.choices("甲乙丙丁", k=200))
        )


def test_repeated_characters_are_clipped() -> None:
    # 的 occurs three times against once: one of the three counts.
    scores = rouge("的的的", "我的")
    assert scores.rouge_1.precision == pytest.approx(1 / 3)
    assert scores.rouge_1.recall == pytest.approx(1 / 2)
    assert scores.rouge_2.f1 == 0


def test_width_case_and_white_space_make_no_difference() -> None:
    assert rouge("Ｌinux 系统，３.５", "linux系统,3.5").rouge_2.f1 == 1


@pytest.mark.parametrize("compat", ["clipped", "pltrdy"])
@pytest.mark.parametrize(
    ("candidate", "reference"), [("", "中国"), ("中国", ""), ("", ""), (" \n", "中国"), (".", "中")]
)
def test_an_empty_text_scores_nothing(candidate: str, reference: str, compat: Convention) -> None:
    scores = rouge(candidate, reference, compat)
    assert (scores.rouge_1.f1, scores.rouge_2.f1, scores.rouge_l.f1) == (0, 0, 0)


def test_one_character_has_no_bigram() -> None:
    assert rouge("中", "中").rouge_2.f1 == 0
    assert rouge("中", "中").rouge_1.f1 == 1


def f1s(scores: Rouge) -> tuple[float, float, float]:
    return scores.rouge_1.f1, scores.rouge_2.f1, scores.rouge_l.f1


def test_the_published_convention_counts_every_ngram_once() -> None:
    # Sets {基,于,网,络} and {网,络,基,于,的}, bigrams {基于,于网,网络,络网} and {网络,络基,基于,于的}.
    assert f1s(rouge("基于网络网络", "网络基于的", "pltrdy")) == pytest.approx((8 / 9, 4 / 8, 4 / 9))
    # With counts: 4 of 6 and 5 characters, 2 of 5 and 4 bigrams; 网络 or 基于 in order.
    assert f1s(rouge("基于网络网络", "网络基于的")) == pytest.approx((8 / 11, 4 / 9, 4 / 11))


def test_the_published_convention_cuts_at_full_stops_and_drops_them() -> None:
    # 倍0 and 5 against 0 and 5倍: the common subsequences of all four pairs are put together, {0,5,倍}; bigrams run
    # over the cuts, {倍0,05} and {05,5倍}.
    scores = rouge("倍0.5", "0.5倍", "pltrdy")
    assert f1s(scores) == pytest.approx((1, 2 / 4, 1))
    assert rouge("倍0.5", "0.5倍").rouge_l.f1 == pytest.approx(3 / 4)


def test_conventions_agree_where_nothing_repeats() -> None:
    assert f1s(rouge("结果表明方法有效", "方法有效性结果", "pltrdy")) == pytest.approx(
        f1s(rouge("结果表明方法有效", "方法有效性结果"))
    )


def test_the_longest_common_subsequence_of_long_strings_is_exact() -> None:
    assert lcs_length("甲乙" * 5000, "乙甲" * 5000) == 9999
