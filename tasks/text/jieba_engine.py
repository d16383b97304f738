"""jieba 0.42.1 behind the `Segmenter` interface: the reference for every other engine.

Gives exactly what `jieba.lcut` and `jieba.lcut_for_search` give, without jieba's side effects: no log on stderr, no
file in the shared temporary folder, no warnings on import, and no dictionary that changes another one's tokens.
"""

from __future__ import annotations

import hashlib
import io
import logging
import marshal
import threading
import warnings
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module, metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tasks.text.frequency_cache import load_cached
from tasks.text.word_numbers import SEPARATOR, NumberedTokens, WordNumbers, by_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

#: Word -> frequency, prefixes of words with 0 among them; and the sum of all frequencies.
Frequencies = tuple[dict[str, int], int]
#: Held while `finalseg.Force_Split_Words` is not jieba's own, see `ForcedSplits`.
_forced_splits_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """A dictionary as jieba holds it, and the words that it forces apart (frequency 0) after guessing."""

    tokenizer: Any
    forced_splits: set[str]


class JiebaSegmenter:
    """One vocabulary in one mode. Several may live in one process and share a vocabulary."""

    def __init__(self, identity: Mapping[str, str], vocabulary: Vocabulary, mode: str, *, hmm: bool) -> None:
        """Choose jieba's function for the mode; `identity` is what `segmenter_identity` says of it."""
        self.identity = identity
        self._forced_splits = ForcedSplits(vocabulary.forced_splits)
        self._cut = _function_of_mode(vocabulary.tokenizer, mode, hmm=hmm)

    def cut(self, text: str) -> list[str]:
        """Return the tokens of a text, in jieba's order."""
        with self._forced_splits:
            return self._cut(text)

    def cut_joined(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of all texts, `SEPARATOR` between one and the next; no text may hold it."""
        tokens: list[str] = []
        for text in texts:
            tokens += self.cut(text)
            tokens.append(SEPARATOR)
        return tokens[:-1]

    def cut_numbered(self, texts: Sequence[str], numbers: WordNumbers) -> NumberedTokens:
        """Return the tokens of all texts by the numbers of their words; no text may hold `SEPARATOR`."""
        return by_text(numbers.of(self.cut_joined(texts)))


class ForcedSplits:
    """Puts one vocabulary's forced splits in the place of jieba's own, which are global, for the time of one call.

    In plain jieba a dictionary that gives a word the frequency 0 changes the tokens of *every* tokenizer of the
    process. The lock keeps threads apart; the cutting itself holds the GIL anyway.
    """

    __slots__ = ("_finalseg", "_former", "_words")

    def __init__(self, words: set[str]) -> None:
        self._words = words
        self._finalseg = import_jieba().finalseg

    def __enter__(self) -> None:
        _forced_splits_lock.acquire()
        self._former = self._finalseg.Force_Split_Words
        self._finalseg.Force_Split_Words = self._words

    def __exit__(self, *_exception: object) -> None:
        self._finalseg.Force_Split_Words = self._former
        _forced_splits_lock.release()


def _function_of_mode(tokenizer: Any, mode: str, *, hmm: bool) -> Callable[[str], list[str]]:
    if mode == "full":
        return partial(tokenizer.lcut, cut_all=True)
    function = tokenizer.lcut_for_search if mode == "search" else tokenizer.lcut
    return partial(function, HMM=hmm)


@lru_cache(maxsize=1)
def engine_identity() -> Mapping[str, str]:
    """Return name and version of the engine and the digest of its default dictionary; imports nothing of jieba."""
    dictionary = _default_dictionary_path().read_bytes()
    return {
        "engine": "jieba",
        "engine_version": metadata.version("jieba"),
        "dictionary": hashlib.sha256(dictionary).hexdigest(),
    }


# Three: the default one and two of users, each some 30 MB, which the jobs that run at the same time may need in turn.
@lru_cache(maxsize=3)
def load_vocabulary(user_dictionary: bytes, cache_dir: Path) -> Vocabulary:
    """Return the default dictionary with the user's on top of it, as `jieba.load_userdict` does it; b"" for none.

    The user's dictionary must have been checked: jieba takes a misspelt line for a word.
    """
    frequencies, total = _default_frequencies(cache_dir)
    # A copy of the table only: the words themselves stay shared with the default dictionary.
    tokenizer = tokenizer_with(frequencies.copy() if user_dictionary else frequencies, total)
    forced_splits: set[str] = set()
    with ForcedSplits(forced_splits):
        tokenizer.load_userdict(io.BytesIO(user_dictionary))
    return Vocabulary(tokenizer, forced_splits)


def tokenizer_with(frequencies: Any, total: int) -> Any:
    """Return jieba's tokenizer with a dictionary that is parsed already: a table of frequencies, and their sum."""
    tokenizer = import_jieba().Tokenizer()
    tokenizer.FREQ = frequencies
    tokenizer.total = total
    tokenizer.initialized = True
    return tokenizer


@lru_cache(maxsize=1)
def _default_frequencies(cache_dir: Path) -> Frequencies:
    path = cache_dir / f"jieba-{engine_identity()['dictionary'][:32]}-v{marshal.version}.cache"
    payload = load_cached(path, lambda: marshal.dumps(parse_default_dictionary()))
    return cast("Frequencies", marshal.loads(payload))  # noqa: S302 - our own bytes: private folder, checksum


def parse_default_dictionary() -> Frequencies:
    """Parse the dictionary that comes with jieba, as jieba does."""
    with _default_dictionary_path().open("rb") as file:
        frequencies, total = import_jieba().Tokenizer.gen_pfdict(file)
    return frequencies, total


def _default_dictionary_path() -> Path:
    specification = util.find_spec("jieba")
    if specification is None or specification.origin is None:
        message = "jieba is not installed; install hanmill again with its dependencies"
        raise ModuleNotFoundError(message, name="jieba")
    return Path(specification.origin).with_name("dict.txt")


@lru_cache(maxsize=1)
def import_jieba() -> Any:
    """Import jieba, which loads its guessing tables but no dictionary, and keep it quiet."""
    with warnings.catch_warnings():
        # jieba 0.42.1 has invalid escapes in its patterns and asks for pkg_resources: no fault of whoever runs this.
        for category in (DeprecationWarning, PendingDeprecationWarning, SyntaxWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        jieba = import_module("jieba")
    jieba.setLogLevel(logging.WARNING)
    return jieba
