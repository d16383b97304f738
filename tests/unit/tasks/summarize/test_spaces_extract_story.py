"""What is taken for granted of news stories."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.nn.clause_tagger import NO_RUN
from tasks.summarize.run_decoding import MIN_SCORE, best_run
from tasks.summarize.spaces_extract_story import (
    LEAD_WEIGHT,
    SENTENCE_BONUS,
    SOURCE_CLAUSES,
    SOURCE_COST,
    story_prior,
    with_end_bonuses,
)
from tasks.text.clauses import clauses

STORY = "新京报讯（记者张三）昨日，市法院一审宣判。李某被判处有期徒刑十年，并处罚金。"


def test_a_story_s_beginning_counts_and_its_sentences_end_well() -> None:
    prior = story_prior(STORY, clauses(STORY))
    assert prior.lead_weight == LEAD_WEIGHT
    assert prior.end_bonuses.tolist() == [0, SENTENCE_BONUS, 0, SENTENCE_BONUS]
    assert prior.begin_costs.tolist() == pytest.approx([SOURCE_COST, 0, 0, 0])


@pytest.mark.parametrize(
    "source",
    [
        "原标题：",
        "合肥3月23日电据市纪委网站消息，",
        "福建法治报12月3日讯今天，",
        "本报讯（通讯员李四）昨日，",
        "央视新闻客户端消息，",
        "中新网记者今天获悉，",
    ],
)
def test_a_source_is_told_from_the_story(source: str) -> None:
    text = source + "某公司电动车8日上市。消息很快传开。"
    costs = story_prior(text, clauses(text)).begin_costs
    assert costs[0] > 0
    assert not costs[1:].any()


def test_what_looks_like_a_source_further_on_is_part_of_the_story() -> None:
    text = "法院宣判，" * SOURCE_CLAUSES + "记者在现场看到，旁听席坐满了人。"
    assert not story_prior(text, clauses(text)).begin_costs.any()


def test_nothing_is_taken_for_granted_of_a_text_with_paragraphs_or_without_clauses() -> None:
    text = STORY + "\n" + STORY
    prior = story_prior(text, clauses(text))
    assert prior.lead_weight == 0
    assert not prior.begin_costs.any()
    assert not prior.end_bonuses.any()
    assert story_prior("", []).lead_weight == 0


def test_a_run_gains_by_its_last_clause_and_what_is_no_run_stays_none() -> None:
    runs = np.full((3, 2), NO_RUN, dtype=np.float32)
    runs[:, 0] = 1.0
    runs[:2, 1] = 2.0
    gained = with_end_bonuses(runs, np.array([0.0, 0.5, 1.0], dtype=np.float32))
    assert gained[:, 0].tolist() == [1.0, 1.5, 2.0]
    assert gained[:2, 1].tolist() == [2.5, 3.0]
    assert gained[2, 1] < MIN_SCORE


def test_a_run_that_begins_dearly_gives_way_to_the_next() -> None:
    starts, ends = np.array([0, 10, 20]), np.array([10, 20, 30])
    scores = np.full((3, 2), NO_RUN, dtype=np.float32)
    scores[0, 1], scores[1, 1] = 1.0, 0.8
    assert best_run(scores, starts, ends, 20) == (0, 2)
    assert best_run(scores, starts, ends, 20, begin_costs=np.array([0.3, 0, 0], dtype=np.float32)) == (1, 3)
