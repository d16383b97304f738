"""A text of the dev part that stands in the training part is found, however it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.text.overlap import overlapping
from tests.support.reference import texts_of

SAMPLES = Path(__file__).parents[3] / "samples" / "corpus"


@pytest.mark.parametrize("written", ["今天天气很好。ABC", " 今天 天气很好。abc\n", "今天天气很好。ＡＢＣ"])
def test_width_case_and_white_space_make_no_other_text(written: str) -> None:
    assert overlapping(["别的", written], ["今天天气很好。ABC"]) == [1]
    assert overlapping([written], ["今天天气不好。ABC"]) == []


@pytest.mark.parametrize("name", ["csl_titles", "csl", "case_elements", "problem_tags", "tech_lctt", "legal_news"])
def test_no_text_that_models_are_judged_by_is_among_those_they_learn_from(test_data: Path | None, name: str) -> None:
    if test_data is None:
        texts = list(texts_of(SAMPLES / "abstracts.jsonl.gz"))
        train, dev = texts[50:], texts[:50]
    else:
        train, dev = (list(texts_of(test_data / name / f"{part}.jsonl.gz")) for part in ("train", "dev"))
    assert overlapping(dev, train) == []
    assert overlapping([*dev, train[0]], train) == [len(dev)]


def test_the_two_sets_that_titles_are_learned_from_share_nothing_with_the_dev_part(test_data: Path | None) -> None:
    if test_data is None:
        texts = list(texts_of(SAMPLES / "abstracts.jsonl.gz"))
        train, dev = texts[50:], texts[:50]
    else:
        train = list(texts_of(test_data / "csl" / "train.jsonl.gz"))
        dev = list(texts_of(test_data / "csl_titles" / "dev.jsonl.gz"))
    assert overlapping(dev, train) == []
