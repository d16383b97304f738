"""The default dictionary in its compact form: every word and prefix with jieba's own frequency."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.text.compact_frequencies import SHIPPED, load_compact, pack
from tasks.text.jieba_engine import Frequencies, engine_identity, load_vocabulary, parse_default_dictionary

FREQUENCIES: Frequencies = ({"北": 0, "北京": 7, "T恤": 4, "T": 0, "𠀀": 1, "a b": 2}, 15)


def refuse() -> Frequencies:
    raise AssertionError


def test_every_word_and_prefix_has_jiebas_own_frequency(tmp_path: Path) -> None:
    # It came along: nothing is parsed.
    compact = load_compact(tmp_path, engine_identity()["dictionary"], refuse)
    tokenizer = load_vocabulary(b"", tmp_path).tokenizer
    assert [word for word, count in tokenizer.FREQ.items() if compact.frequencies[word] != count] == []
    assert (compact.total, compact.held) == (tokenizer.total, sum(tokenizer.FREQ.values()))
    assert {"T恤", "AA制", "B超"} <= compact.mixed_words


def test_what_came_along_was_made_of_the_dictionary_that_is_installed() -> None:
    (shipped,) = SHIPPED.iterdir()
    assert shipped.read_bytes() == pack(parse_default_dictionary())


@pytest.mark.parametrize("again", [False, True], ids=["parsed", "from_the_cache"])
def test_it_answers_as_a_dictionary_does(tmp_path: Path, *, again: bool) -> None:
    if again:
        load_compact(tmp_path, "aa", lambda: FREQUENCIES)
    compact = load_compact(tmp_path, "aa", lambda: FREQUENCIES)
    expected = FREQUENCIES[0]
    for word in [*expected, "京", "", "北京北京", "b"]:
        assert (word in compact.frequencies) == (word in expected)
        assert compact.frequencies.get(word) == expected.get(word)
        assert compact.frequencies.get(word, 5) == expected.get(word, 5)
    with pytest.raises(KeyError):
        compact.frequencies["京"]
    assert compact.mixed_words == {"T恤"}
    assert (compact.total, compact.held) == (15, 14)
