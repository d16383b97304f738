"""A stretch taken out of a sentence begins and ends as a phrase does."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.segmenter import Segmenter, SegmenterOptions, open_segmenter
from tasks.text.word_edges import at_words

SENTENCE = "本文研究了基于博弈论的移动机器人路径规划方法"


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Segmenter:
    return open_segmenter(SegmenterOptions(), None, tmp_path_factory.mktemp("cache"))


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("于博弈论的移动机器人", "基于博弈论的移动机器人"),
        ("了基于博弈论的移动机器人路径规", "基于博弈论的移动机器人路径规划"),
        ("基于博弈论的", "基于博弈论"),
        ("路径规划方法", "路径规划方法"),
        ("的", "的"),
    ],
)
def test_a_stretch_gets_whole_words_and_loses_particles(segmenter: Segmenter, given: str, wanted: str) -> None:
    start = SENTENCE.index(given)
    first, last = at_words(SENTENCE, (start, start + len(given)), (0, len(SENTENCE)), segmenter.cut)
    assert SENTENCE[first:last] == wanted


def test_a_stretch_never_leaves_what_it_must_stay_within(segmenter: Segmenter) -> None:
    middle = SENTENCE.index("机器人")
    assert at_words(SENTENCE, (middle + 1, middle + 3), (middle + 1, middle + 3), segmenter.cut) == (
        middle + 1,
        middle + 3,
    )


@given(st.text(alphabet="的了和中国天气abc ", min_size=1, max_size=40), st.data())
def test_the_result_is_a_stretch_within_its_bounds_and_is_not_empty(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    lower, upper = at_words(text, (start, end), (0, len(text)), lambda piece: re.findall("..?", piece, re.DOTALL))
    assert 0 <= lower < upper <= len(text)
