"""Cuts texts into words with their parts of speech, by jieba's tagger. Its words are not always those of `Segmenter`.

None of jieba's side effects: no log, no file in the shared temporary folder, and no dictionary that changes another's
tags. What is in no dictionary is guessed by `tag_guessing`, of which jieba itself makes four fifths of its time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tasks.keywords.tag_guessing import TagGuesser
from tasks.text.jieba_engine import import_jieba, load_vocabulary, tokenizer_with

#: Stretches whose words are remembered, for most come again; some 20 MB.
KEPT_STRETCHES = 50_000


class PosTagger:
    """Jieba's tagger with one dictionary."""

    def __init__(self, tagger: Any, *, hmm: bool) -> None:
        """Take jieba's own; `hmm` has it guess words that are in no dictionary."""
        self._tagger = tagger
        self._hmm = hmm

    def tag(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield the words of a text with their tags, in order."""
        return ((pair.word, pair.flag) for pair in self._tagger.cut(text, HMM=self._hmm))


def open_tagger(user_dictionary: bytes, cache_dir: Path, *, hmm: bool) -> PosTagger:
    """Return a tagger that is loaded; b"" for the default dictionary alone, which must otherwise have been checked."""
    return PosTagger(_fast_tagger(user_dictionary, cache_dir), hmm=hmm)


@lru_cache(maxsize=2)
def _fast_tagger(user_dictionary: bytes, cache_dir: Path) -> Any:
    tagger, pair = plain_tagger(user_dictionary, cache_dir), import_posseg().pair
    guess = _guess()
    # The method by which a tagger guesses, whose name is private to its class.
    tagger.__dict__["_POSTokenizer__cut"] = lambda stretch: [pair(word, tag) for word, tag in guess(stretch)]
    return tagger


@lru_cache(maxsize=1)
def _guess() -> Callable[[str], tuple[tuple[str, str], ...]]:
    posseg = import_posseg()
    guesser = TagGuesser(posseg.char_state_tab_P, posseg.start_P, posseg.trans_P, posseg.emit_P)

    @lru_cache(maxsize=KEPT_STRETCHES)
    def guess(stretch: str) -> tuple[tuple[str, str], ...]:
        return tuple(guesser.guess(stretch))

    return guess


def plain_tagger(user_dictionary: bytes, cache_dir: Path) -> Any:
    """Return jieba's own tagger with a dictionary, which guesses by itself."""
    posseg = import_posseg()
    vocabulary = load_vocabulary(user_dictionary, cache_dir).tokenizer
    tags, own_tags = posseg.dt.word_tag_tab, vocabulary.user_word_tag_tab
    # Not by its constructor, which would read the default dictionary's tags once more.
    tagger = object.__new__(posseg.POSTokenizer)
    # Its words are those of the vocabulary, but not its tags: the tagger takes those away from whom it takes them.
    tagger.tokenizer = tokenizer_with(vocabulary.FREQ, vocabulary.total)
    tagger.word_tag_tab = {**tags, **own_tags} if own_tags else tags
    return tagger


@lru_cache(maxsize=1)
def import_posseg() -> Any:
    """Import jieba's tagger, which reads the default dictionary's tags, and keep it quiet."""
    import_jieba()
    with warnings.catch_warnings():
        # jieba 0.42.1 has invalid escapes in its patterns: no fault of whoever runs this.
        for category in (DeprecationWarning, SyntaxWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        return import_module("jieba.posseg")
