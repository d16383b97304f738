"""What the extractor is trained towards."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.summarize.extract_labels import extract_labels
from tasks.summarize.run_targets import MAX_RUN_CHARS, run_targets
from tasks.text.rouge import rouge

CLAUSES = [
    "被告辩称已还款",
    "原告诉请返还借款五万元",
    "本院认为借贷关系成立",
    "原告诉请返还借款五万元",
    "判决被告返还五万元",
]


def test_every_clause_of_the_summary_finds_the_clause_most_like_it() -> None:
    assert extract_labels(CLAUSES, "原告要求返还借款五万元，本院认为借贷成立，判决返还五万元。") == [1, 2, 4]


def test_the_order_of_the_summary_is_kept() -> None:
    # 还款 comes behind the judgment in the summary, and before it in the document: it is matched with nothing there.
    assert extract_labels(CLAUSES, "本院认为借贷关系成立，辩称已还款") == [2]


def test_equal_clauses_are_told_apart_by_their_neighbours() -> None:
    assert extract_labels(CLAUSES, "本院认为借贷关系依法成立，原告诉请返还借款") == [2, 3]


def test_a_summary_that_resembles_nothing_has_no_labels() -> None:
    assert extract_labels(CLAUSES, "今日天气晴朗，宜出游") == []
    assert extract_labels(CLAUSES, "") == []
    assert extract_labels([], "今日") == []


def test_a_clause_that_resembles_nothing_does_not_hide_its_neighbours() -> None:
    assert extract_labels(CLAUSES, "本院认为成立，今日天气非常晴朗宜外出游玩，判决被告返还") == [2, 4]


def test_targets_are_the_rouge_of_every_run() -> None:
    targets = run_targets(CLAUSES, "本院认为借贷成立，判决返还", 3)
    assert targets.shape == (5, 3)
    for first in range(5):
        for width in range(1, 4):
            if first + width > 5:
                assert targets[first, width - 1] == -1
            else:
                run = "".join(CLAUSES[first : first + width])
                expected = rouge(run, "本院认为借贷成立，判决返还").rouge_l.f1
                assert targets[first, width - 1] == pytest.approx(expected, abs=1e-6)


def test_runs_that_are_too_long_are_none_and_much_too_long_ones_share_nothing() -> None:
    targets = run_targets(["甲" * 100] * 5, "甲乙", 5)
    assert np.array_equal(targets[0], [0, 0, 0, -1, -1])
    assert MAX_RUN_CHARS == 300
    assert np.array_equal(run_targets(["", "甲"], "甲", 1), [[-1], [1]])
