"""Figures beside baselines."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.nn.backend import UnfitTextError
from tasks.summarize.evaluate import evaluate_summarizer, mean_rouge_l, paired_difference
from tasks.summarize.lead import LeadBackend
from tasks.summarize.summary import Summary
from tasks.summarize.textrank import TextRankBackend
from tasks.summarize.training_data import Pair
from tasks.summarize.windowless import Windowless

TEXT = "近年来研究很多，提出一种水稻育种方法，该水稻育种方法有效，天气晴朗宜外出。" * 3
PAIRS = [Pair(TEXT, "水稻育种方法"), Pair("近年来" + TEXT, "一种水稻育种方法"), Pair(TEXT[:-1] + "！", "育种")]


class Oracle(Windowless):
    """Answers with what it was told; refuses the rest."""

    def __init__(self, answers: dict[str, str]) -> None:
        super().__init__("0" * 64)
        self._answers = answers

    def summarize(self, text: str) -> Summary:
        if text not in self._answers:
            reason = "unknown"
            raise UnfitTextError(reason, "nobody knows")
        return Summary((), self._answers[text])


def test_a_perfect_system_scores_100_and_is_over_every_baseline() -> None:
    found = evaluate_summarizer(Oracle({pair.text: pair.target for pair in PAIRS}), PAIRS)
    scores = found.system
    assert (scores.rouge_1, scores.rouge_2, scores.rouge_l) == pytest.approx((100, 100, 100))
    assert scores.rouge_l_published == pytest.approx(100)
    assert scores.empty == 0
    assert scores.mean_chars == pytest.approx(16 / 3)
    assert set(found.over) == {"lead", "textrank", "lead_same_length", "textrank_same_length"}
    assert all(0 < over.low <= over.mean <= over.high for over in found.over.values())


def test_a_document_without_a_summary_counts_nothing() -> None:
    found = evaluate_summarizer(Oracle({PAIRS[0].text: PAIRS[0].target}), PAIRS)
    assert found.system.empty == 2
    assert found.system.rouge_l == pytest.approx(100 / 3)


def test_baselines_are_those_of_the_same_length_and_limit() -> None:
    found = evaluate_summarizer(LeadBackend("short", 20), PAIRS, length="short", max_chars=20)
    assert found.system == found.baselines["lead"]
    assert found.over["lead"].mean == found.over["lead"].high == 0
    textrank = evaluate_summarizer(TextRankBackend("short", 20), PAIRS, length="short", max_chars=20)
    assert textrank.system == found.baselines["textrank"]
    assert found.baselines["lead_same_length"].mean_chars <= found.system.mean_chars


def test_equal_seeds_give_equal_intervals_and_json_can_hold_them() -> None:
    oracle = Oracle({pair.text: "水稻" for pair in PAIRS})
    first = evaluate_summarizer(oracle, PAIRS, seed=3)
    assert first == evaluate_summarizer(oracle, PAIRS, seed=3)
    record = first.as_dict()
    assert record["system"]["rouge_1"] == round(first.system.rouge_1, 2)
    assert record["over"]["lead"]["low"] == round(first.over["lead"].low, 2)


def test_nothing_to_evaluate_on_is_said() -> None:
    with pytest.raises(ValueError, match="no pairs"):
        evaluate_summarizer(LeadBackend("title"), [])


def test_the_interval_of_a_sure_difference_holds_it_and_not_zero() -> None:
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 1, 200)
    difference = paired_difference(noise + 2, noise + generator.normal(0, 0.5, 200), generator)
    assert difference.low < 2 < difference.high
    assert difference.low > 1.8


def test_the_mean_of_rouge_l_is_in_per_cent() -> None:
    assert mean_rouge_l(["水稻", ""], ["水稻", "网络"]) == 50


def test_a_thorough_evaluation_says_how_summaries_are_made_and_what_they_invent() -> None:
    texts = [f"2024年共有{number}家企业采用水稻育种方法，天气晴朗。" * 4 for number in (12, 345)]
    pairs = [Pair(text, "企业采用水稻育种方法") for text in texts]
    told: list[tuple[str, int, int]] = []
    answers = {texts[0]: "12家企业采用新方法", texts[1]: "346家企业采用水稻育种方法"}
    found = evaluate_summarizer(
        Oracle(answers), pairs, thorough=True, worst=5, on_progress=lambda *step: told.append(step)
    )
    measures = found.system.measures
    assert measures is not None
    assert (measures.numbers, measures.invented_numbers, measures.faithful_numbers) == (2, 1, 50)
    assert measures.novel_1 is not None
    assert measures.novel_1 > 0
    assert [(case.document, case.numbers) for case in found.worst] == [(2, ("346",))]
    assert found.oracle is not None
    assert found.oracle.rouge_l == pytest.approx(100)
    assert found.oracle.measures == found.reference
    assert all(scores.measures is not None for scores in found.baselines.values())
    assert told[0] == ("summaries", 0, 2)
    assert told[-1] == ("measures of reference", 0, 2)
    record = found.as_dict()
    assert record["worst"][0]["summary"] == answers[texts[1]]
    assert record["system"]["measures"]["invented_numbers"] == 1
    assert 0 < record["system"]["bleu"] < 100


def test_documents_without_a_summary_have_no_measures_but_count() -> None:
    found = evaluate_summarizer(Oracle({}), PAIRS, thorough=True)
    measures = found.system.measures
    assert measures is not None
    assert measures.coverage is None
    assert (measures.numbers, measures.faithful_numbers, found.worst) == (0, None, [])
    assert (found.system.bleu, found.system.bleu_corpus) == (0, 0)
