"""Which tokens are kept."""

from __future__ import annotations

import pytest

from tasks.text.token_filter import TokenFilter, has_letter_digit_or_ideograph, parse_stopwords
from tasks.text.word_list import WordListError

TOKENS = ["我", "爱", "北京", "，", "我", "爱", "Python3", "\n"]


def test_a_filter_without_settings_keeps_every_token() -> None:
    assert TokenFilter().keep(TOKENS) == TOKENS


def test_stop_words_go_and_the_order_stays() -> None:
    assert TokenFilter(stopwords=frozenset({"我", "\n"})).keep(TOKENS) == ["爱", "北京", "，", "爱", "Python3"]


def test_length_is_counted_in_characters() -> None:
    assert TokenFilter(min_length=2).keep([*TOKENS, "\U00020000", "𠀀𠀁"]) == ["北京", "Python3", "𠀀𠀁"]


def test_the_pattern_must_match_the_whole_token() -> None:
    assert TokenFilter(pattern="[a-zA-Z]+").keep(TOKENS) == []
    assert TokenFilter(pattern="[a-zA-Z0-9]+").keep(TOKENS) == ["Python3"]
    assert TokenFilter(pattern=r"北|(.*\d)").keep(TOKENS) == ["Python3"]


def test_all_settings_hold_together() -> None:
    chosen = TokenFilter(stopwords=frozenset({"北京"}), min_length=2, pattern=r"\w+")
    assert chosen.keep(TOKENS) == ["Python3"]


@pytest.mark.parametrize("pattern", ["[", "(?P<a", "*", "a{99999999999}"])
def test_a_bad_pattern_is_named(pattern: str) -> None:
    with pytest.raises(ValueError, match="is no regular expression") as caught:
        TokenFilter(pattern=pattern)
    assert repr(pattern) in str(caught.value)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        TokenFilter(min_length=-1)


def test_equal_settings_make_equal_filters() -> None:
    assert TokenFilter(pattern="a") == TokenFilter(pattern="a") != TokenFilter(pattern="b")


def test_stop_words_are_read_with_byte_order_mark_crlf_and_blank_lines() -> None:
    assert parse_stopwords("\ufeff的\r\n\r\n了 \n  \n——\r\n的".encode()) == {"的", "了", "——"}


def test_a_line_separator_of_unicode_does_not_end_a_stop_word() -> None:
    assert parse_stopwords("a\u2028b\n".encode()) == {"a\u2028b"}


def test_stop_words_that_are_not_utf8_are_refused_with_their_line() -> None:
    with pytest.raises(WordListError, match=r"word list, line 2: not UTF-8"):
        parse_stopwords(b"a\n\xff\xfe\n")


@pytest.mark.parametrize("token", ["中国", "A", "3", "３", "é", "〇", "½", "A股", "C++", "㐀", "𠀀", "ー"])
def test_tokens_with_letter_digit_or_ideograph_show(token: str) -> None:
    assert has_letter_digit_or_ideograph(token)


@pytest.mark.parametrize("token", ["", " ", "　", "\n", "，", "——", "😀", "%", "+", "_", "\u200b"])
def test_punctuation_signs_and_white_space_do_not_show(token: str) -> None:
    assert not has_letter_digit_or_ideograph(token)
