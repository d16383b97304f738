"""A dictionary as jieba-rs and jieba both hold it, with the very weights of jieba.

The default dictionary comes from a compact form; one of a user is loaded by jieba itself, and its changes are given on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tasks.text.compact_frequencies import load_compact, mixed_words
from tasks.text.jieba_engine import (
    Vocabulary,
    engine_identity,
    load_vocabulary,
    parse_default_dictionary,
    tokenizer_with,
)
from tasks.text.latin_runs import IS_BLOCK
from tasks.text.odd_places import PlaceFinder

#: A word in no text (private characters are in no block), which takes what the sums of frequencies differ by.
BALANCE_WORD = "\ue000\ue001"
#: jieba-rs holds frequencies in 64 bits.
MAX_TOTAL = 1 << 62
#: More words than this in one pattern would cost more than they save.
MAX_DELETED_WORDS = 1000


@dataclass(frozen=True, slots=True)
class FastVocabulary:
    """A dictionary as both engines hold it."""

    jieba: Vocabulary
    engine: Any
    place_finder: PlaceFinder
    #: Says whether a word that the dictionary has not deleted is in it.
    has_word: Callable[[str], bool]


# As many as of jieba's own vocabularies; the default one takes some 50 MB, and one of a user 100.
@lru_cache(maxsize=3)
def load_fast_vocabulary(user_dictionary: bytes, cache_dir: Path) -> FastVocabulary | None:
    """Return the default dictionary with the user's on top of it, None for one that only jieba can hold."""
    return _user_vocabulary(user_dictionary, cache_dir) if user_dictionary else _default_vocabulary(cache_dir)


def _default_vocabulary(cache_dir: Path) -> FastVocabulary:
    default = load_compact(cache_dir, engine_identity()["dictionary"], parse_default_dictionary)
    plain = Vocabulary(tokenizer_with(default.frequencies, default.total), set())
    engine = _make_engine({}, default.total - default.held)
    return FastVocabulary(plain, engine, PlaceFinder(default.mixed_words, ()), engine.has_word)


def _user_vocabulary(user_dictionary: bytes, cache_dir: Path) -> FastVocabulary | None:
    plain = load_vocabulary(user_dictionary, cache_dir)
    default = load_vocabulary(b"", cache_dir).tokenizer.FREQ
    frequencies, total = plain.tokenizer.FREQ, plain.tokenizer.total
    changed = {word: count for word, count in frequencies.items() if count and default.get(word) != count}
    deleted = plain.forced_splits | {word for word, count in default.items() if count and not frequencies[word]}
    # jieba looks for words inside blocks only; there another one is never met.
    deleted = {word for word in deleted if IS_BLOCK(word)}
    if total >= MAX_TOTAL or len(deleted) > MAX_DELETED_WORDS:
        return None
    held = sum(default.values()) + sum(count - default.get(word, 0) for word, count in changed.items())
    engine = _make_engine(changed, total - held)
    return FastVocabulary(plain, engine, PlaceFinder(mixed_words(frequencies), deleted), engine.has_word)


def _make_engine(changed: Mapping[str, int], balance: int) -> Any:
    """Return jieba-rs with its own dictionary, and some words changed.

    A word's weight is its share of the sum, so that the sums must be equal. jieba adds to it whenever a word is given,
    a repeated one too; jieba-rs takes back what the word had before. `balance` is what it lacks.
    """
    import rjieba  # noqa: PLC0415 - 5 MB of dictionary that only a worker needs

    engine = rjieba.Jieba()
    for word, count in changed.items():
        engine.add_word(word, count, "")
    engine.add_word(BALANCE_WORD, balance, "")
    return engine
