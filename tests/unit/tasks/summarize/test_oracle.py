"""The best extract: for a span compared with all there are, for clauses by hand."""

from __future__ import annotations

import random

import pytest

from tasks.summarize.oracle import best_clauses, best_span, oracle
from tasks.text.rouge import rouge


def mean_rouge(candidate: str, reference: str) -> float:
    scores = rouge(candidate, reference)
    return (scores.rouge_1.f1 + scores.rouge_2.f1 + scores.rouge_l.f1) / 3


@pytest.mark.parametrize("seed", range(12))
def test_no_span_is_better_than_the_best(seed: int) -> None:
    dice = random.Random(seed)
    text, target = ("".join(dice.choice("水稻育种方法") for _ in range(size)) for size in (24, 6))
    spans = (text[start:end] for start in range(len(text)) for end in range(start + 1, len(text) + 1))
    best = max(mean_rouge(span, target) for span in spans)
    assert mean_rouge(best_span(text, target), target) == pytest.approx(best)


def test_clauses_are_chosen_as_long_as_they_help() -> None:
    text = "天气晴朗，本文提出水稻育种方法，价格上涨，实验表明方法有效。"
    assert best_clauses(text, "提出水稻育种方法，实验表明方法有效") == "本文提出水稻育种方法，实验表明方法有效。"
    assert best_clauses(text, "提出水稻育种方法") == "本文提出水稻育种方法，"
    assert best_clauses(text, "鑫淼") == ""


def test_the_length_says_which_and_odd_texts_have_an_oracle_too() -> None:
    text = "本文提出水稻育种方法，天气晴朗。"
    assert oracle(text, "水稻育种", "title") == "水稻育种"
    assert oracle(text, "水稻育种", "short") == "本文提出水稻育种方法，"
    assert best_span("", "水稻") == best_span("水稻", " ") == best_clauses("", "水稻") == ""
