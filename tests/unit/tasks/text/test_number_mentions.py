"""What is a number in a text, what it is worth, and that reading it character by character finds the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.number_mentions import all_values, extended, finished, numbers, values


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("共１２万家，占3.5%。", ["12万", "3.5"]),
        ("2024年7月8日", ["2024", "7", "8"]),
        ("一种方法，十分有效，一一列举", ["一一"]),
        ("十二月二〇二四年三百五十", ["十二", "二〇二四", "三百五十"]),
        ("12，345家", ["12", "345"]),
        ("12,345家。", ["12,345"]),
        ("PM2.5与H2O", ["2.5", "2"]),
        ("3.,5 2024一季度", ["3", "5", "2024"]),
    ],
)
def test_numbers_are_found(text: str, expected: list[str]) -> None:
    assert numbers(text) == expected


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *[("1,200", "1200"), ("03.50", "3.5"), ("1.2.3", "1.2.3"), ("007", "7"), ("0.0", "0"), ("٣٤", "34")],
        *[("12万", "120000"), ("1.2万亿", "1200000000000"), ("1,234.5万", "12345000"), ("3千", "3000")],
        *[("一百二十", "120"), ("一百二", "120"), ("一百零二", "102"), ("三万五", "35000"), ("两亿", "200000000")],
        *[("一亿二千万", "120000000"), ("三千万亿", "3" + "0" * 15), ("一万零五十", "10050"), ("壹仟贰佰", "1200")],
        *[("二〇二四", "2024"), ("十五", "15"), ("三四十", "三四十"), ("千千", "千千"), ("亿" * 30, "亿" * 30)],
    ],
)
def test_numbers_have_values(number: str, expected: str) -> None:
    assert values(number) == (expected,)


def in_words(number: int) -> str:
    words, zero = "", False
    for power, digit in zip(range(4, -1, -1), f"{number:05}", strict=True):
        if digit == "0":
            zero = words != ""
            continue
        words += ("零" if zero else "") + "零一二三四五六七八九"[int(digit)] + " 十百千万"[power].strip()
        zero = False
    return words


def test_a_number_in_words_has_the_value_of_its_digits() -> None:
    for number in range(1, 100_000, 79):
        assert values(in_words(number)) == (str(number),)


def test_commas_that_group_nothing_part_numbers_and_a_source_is_read_both_ways() -> None:
    assert values("2024,5") == ("2024", "5")
    assert all_values("截至12，345家") == {"12", "345", "12345"}
    assert all_values("截至12,345家") == {"12345"}


@given(st.text(alphabet="0123456789.,一二十百千万亿零两年的 ", max_size=24))
def test_reading_character_by_character_finds_the_same_numbers(text: str) -> None:
    found, run = [], ""
    for character in text:
        grown = extended(run, character)
        if grown != run + character:
            found.append(finished(run))
        run = grown
    assert [number for number in [*found, finished(run)] if number] == numbers(text)
