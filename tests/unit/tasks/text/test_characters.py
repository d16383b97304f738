from __future__ import annotations

import pytest
from hypothesis import given, strategies

from tasks.text.characters import CharacterVocabulary, code_points, folded, frequent_characters


def as_text(text: str) -> str:
    return "".join(map(chr, folded(text)))


def test_width_case_and_white_space_are_folded() -> None:
    assert as_text("Ａ１，\n中\u3000文Z") == "a1, 中 文z"


@given(strategies.text())
def test_folding_keeps_every_position(text: str) -> None:
    assert len(folded(text)) == len(text)


def test_a_character_that_folds_to_several_stays_what_it_is() -> None:
    assert as_text("㈱ﬁ½") == "㈱ﬁ½"


def test_lone_surrogates_and_rare_planes_have_numbers_too() -> None:
    assert code_points("\ud800😀").tolist() == [0xD800, 0x1F600]


def test_frequent_characters_come_first_and_rare_ones_are_unknown() -> None:
    vocabulary = frequent_characters(["网网络A", "网络a乙"], min_count=2)
    assert vocabulary.characters == ("网", "a", "络")
    assert vocabulary.encode(folded("网Ａ丙")).tolist() == [2, 3, 1]
    assert vocabulary.size == 5


def test_a_vocabulary_survives_its_file() -> None:
    vocabulary = CharacterVocabulary(["中", " ", "\u00a0", "a"])
    again = CharacterVocabulary.from_text(vocabulary.to_text())
    assert again.characters == vocabulary.characters


@pytest.mark.parametrize("entries", [["中", "中"], ["中文"], [""]])
def test_what_is_no_list_of_characters_is_refused(entries: list[str]) -> None:
    with pytest.raises(ValueError, match="one character an entry"):
        CharacterVocabulary(entries)
