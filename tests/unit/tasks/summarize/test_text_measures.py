from __future__ import annotations

import pytest

from tasks.summarize.text_measures import copied_fragments, coverage, density, novelty, repetition


def test_repetition_is_the_share_of_runs_that_were_there_before() -> None:
    assert repetition("甲乙丙甲乙丙") == pytest.approx(1 / 4)
    assert repetition("甲乙丙丁") == 0
    assert repetition("甲乙") is None


def test_novelty_is_the_share_of_runs_that_the_source_has_not() -> None:
    assert novelty("甲乙丁", "甲乙丙丁", 1) == 0
    assert novelty("甲乙丁", "甲乙丙丁", 2) == pytest.approx(1 / 2)
    assert novelty("甲", "甲", 2) is None


def test_fragments_are_the_longest_from_the_left_as_the_newsroom_paper_has_them() -> None:
    fragments = copied_fragments("水稻的育种甲", "育种水稻方法")
    assert fragments == [2, 2]
    assert coverage(fragments, "水稻的育种甲") == pytest.approx(4 / 6)
    assert density(fragments, "水稻的育种甲") == pytest.approx(8 / 6)
    assert copied_fragments("", "水稻") == copied_fragments("甲", "水稻") == []
