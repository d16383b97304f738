"""Summaries as text of their documents."""

from __future__ import annotations

import pytest

from tasks.nn.backend import UnfitTextError
from tasks.summarize.summary import check_not_empty, length_named, max_chars_of, own_summary, summary_of

TEXT = "标题\n\n  第一句，后半句。第二句； 第三句。"


def test_spans_are_joined_in_source_order_with_nothing_between() -> None:
    summary = summary_of(TEXT, [(14, 18), (6, 10)], 100)
    assert summary.text == "第一句，第二句"
    assert summary.spans == ((6, 10), (14, 17))
    assert summary.text == "".join(TEXT[start:end] for start, end in summary.spans)


def test_stretches_that_touch_become_one() -> None:
    assert summary_of(TEXT, [(10, 14), (6, 10)], 100).spans == ((6, 14),)


def test_one_character_of_white_space_stays_as_the_joint() -> None:
    assert summary_of(TEXT, [(0, 6), (14, 19)], 100).text == "标题\n第二句"
    assert summary_of(TEXT, [(0, 6)], 100).text == "标题"


def test_the_end_loses_marks_that_announce_more_and_a_title_its_full_stop() -> None:
    assert summary_of(TEXT, [(6, 14)], 100).text == "第一句，后半句。"
    assert summary_of(TEXT, [(6, 14)], 100, title=True).text == "第一句，后半句"
    assert summary_of("你好吗？再见", [(0, 4)], 100, title=True).text == "你好吗？"
    assert summary_of("。。。再见", [(0, 3)], 100, title=True).text == "。。。"


@pytest.mark.parametrize("max_chars", range(1, 14))
def test_no_summary_is_longer_than_its_limit(max_chars: int) -> None:
    summary = summary_of(TEXT, [(0, 6), (6, 10), (14, 19)], max_chars)
    assert 0 < len(summary.text) <= max_chars
    assert summary.text == "".join(TEXT[start:end] for start, end in summary.spans)


def test_a_text_within_the_limit_is_its_own_summary_without_the_white_space_around_it() -> None:
    summary = own_summary(" \n你好。 ", 3)
    assert summary is not None
    assert (summary.text, summary.spans) == ("你好。", ((2, 5),))
    assert own_summary(" \n你好。 ", 2) is None


@pytest.mark.parametrize("text", ["", " ", "\n\t　"])
def test_an_empty_text_is_unfit(text: str) -> None:
    with pytest.raises(UnfitTextError) as caught:
        check_not_empty(text)
    assert caught.value.reason == "empty_text"


def test_lengths_have_names_and_limits() -> None:
    assert [max_chars_of(length_named(name), None) for name in ("title", "short", "long")] == [48, 100, 300]
    assert max_chars_of("short", 42) == 42
    with pytest.raises(ValueError, match="at least 1"):
        max_chars_of("short", 0)
    with pytest.raises(ValueError, match="not 'medium'"):
        length_named("medium")
