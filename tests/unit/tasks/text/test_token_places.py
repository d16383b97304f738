from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.segmenter import Mode, SegmenterOptions, open_segmenter
from tasks.text.token_places import places_in_full, places_in_search, places_of

#: Words with words in them, repeated characters, Latin letters, marks.
TEXTS = st.text(st.sampled_from("中国人民共和华大学生的一,。 aB1\nT恤科院所年月"), max_size=60)
DICTIONARY = "T恤 5 n\n人人人人 50 n\n".encode()
Cut = Callable[[str], list[str]]


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Cut]:
    modes: tuple[Mode, ...] = ("precise", "search", "full")
    cache_dir = tmp_path_factory.mktemp("cache")
    return {mode: open_segmenter(SegmenterOptions(mode), DICTIONARY, cache_dir).cut for mode in modes}


def check(text: str, word: str, places: list[int], tokens: list[str]) -> None:
    """Hold places against the text, and against how many tokens there are."""
    assert len(set(places)) == len(places) == tokens.count(word)
    assert all(text.startswith(word, place) for place in places)


@settings(max_examples=60, deadline=None)
@given(TEXTS)
def test_a_word_has_as_many_places_as_tokens_and_stands_at_each(cut: dict[str, Cut], text: str) -> None:
    precise, search, full = (cut[mode](text) for mode in ("precise", "search", "full"))
    for word in set(precise):
        check(text, word, places_of(word, precise), precise)
    for word in set(search):
        check(text, word, places_in_search(word, precise, search), search)
    for word in set(full) - {""}:
        if word in text:
            check(text, word, places_in_full(word, text, full), full)


def test_tokens_of_the_precise_mode_follow_each_other() -> None:
    assert places_of("国", ["中国", "国", "中", "国"]) == [2, 4]
    assert places_of("华", ["中国"]) == []


def test_words_inside_of_words_are_placed_there(cut: dict[str, Cut]) -> None:
    text = "在中国科学院和科学院"
    precise, search = cut["precise"](text), cut["search"](text)
    assert precise == ["在", "中国科学院", "和", "科学院"]
    assert places_in_search("科学", precise, search) == [3, 7]
    assert places_in_search("科学院", precise, search) == [3, 7]
    repeated = "人人人人"
    assert cut["precise"](repeated) == [repeated]
    assert places_in_search("人人", [repeated], cut["search"](repeated)) == [0, 1, 2]


def test_a_character_that_a_longer_word_covers_is_no_token(cut: dict[str, Cut]) -> None:
    text = "中国国，国的中国"
    assert places_in_full("国", text, cut["full"](text)) == [2, 4]
    assert places_in_full("中国", text, cut["full"](text)) == [0, 6]


def test_tokens_of_another_text_are_refused() -> None:
    with pytest.raises(ValueError, match="not tokens of one text"):
        places_in_search("国", ["中国"], ["北京", "中国"])
