"""The words that are known: those of jieba's dictionary and of the user's. Finds no new ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tasks.text.fast_vocabulary import load_fast_vocabulary
from tasks.text.jieba_engine import JiebaSegmenter, load_vocabulary


@dataclass(frozen=True, slots=True)
class Dictionary:
    """What a dictionary has to say of a word."""

    has: Callable[[str], bool]
    #: Cuts by the dictionary alone, without guessing.
    cut: Callable[[str], list[str]]


def load_dictionary(user_dictionary: bytes, cache_dir: Path) -> Dictionary:
    """Return jieba's dictionary with the user's on top of it; b"" for none.

    A word that the user's gives the frequency 0 is known too: it is to be cut apart.
    """
    fast = load_fast_vocabulary(user_dictionary, cache_dir)
    vocabulary = fast.jieba if fast is not None else load_vocabulary(user_dictionary, cache_dir)
    frequencies, forced_apart = vocabulary.tokenizer.FREQ, vocabulary.forced_splits

    def has(word: str) -> bool:
        # The beginnings of words stand there too, with the frequency 0.
        return bool(frequencies.get(word)) or word in forced_apart

    return Dictionary(has, JiebaSegmenter({}, vocabulary, "precise", hmm=False).cut)
