"""Guessed words and tags against jieba's own guessing, on stretches that no text would have, too."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.keywords.pos_tagger import import_posseg, open_tagger, plain_tagger
from tasks.keywords.tag_guessing import TagGuesser


@pytest.fixture(scope="module")
def guesser() -> TagGuesser:
    posseg = import_posseg()
    return TagGuesser(posseg.char_state_tab_P, posseg.start_P, posseg.trans_P, posseg.emit_P)


def by_jieba(stretch: str) -> list[tuple[str, str]]:
    posseg = import_posseg()
    # Its name is private to its class.
    guess = posseg.POSTokenizer.__dict__["_POSTokenizer__cut"]
    return [(pair.word, pair.flag) for pair in guess(posseg.dt, stretch)]


def test_characters_that_the_model_knows_are_guessed_as_jieba_does(guesser: TagGuesser) -> None:
    chance = random.Random(1)
    known = sorted(import_posseg().char_state_tab_P)
    stretches = ["".join(chance.choices(known, k=chance.randint(1, 9))) for _ in range(300)]
    assert [list(guesser.guess(stretch)) for stretch in stretches] == [by_jieba(stretch) for stretch in stretches]


@settings(deadline=None, max_examples=30)
@given(stretch=st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FD5), min_size=1, max_size=6))
def test_rare_characters_are_guessed_as_jieba_does(guesser: TagGuesser, stretch: str) -> None:
    assert list(guesser.guess(stretch)) == by_jieba(stretch)


def test_whole_texts_are_tagged_as_jieba_does(sample_texts: list[str], tmp_path: Path) -> None:
    dictionary = "云原生 100000 n\n".encode()
    for own, hmm in ((b"", True), (b"", False), (dictionary, True)):
        fast, plain = open_tagger(own, tmp_path, hmm=hmm), plain_tagger(own, tmp_path)
        texts: list[Any] = [*sample_texts[:4], "云原生，王小二买了3.5斤龘龘龘 Python 代码。"]
        for text in texts:
            expected = [(pair.word, pair.flag) for pair in plain.cut(text, HMM=hmm)]
            assert list(fast.tag(text)) == expected
