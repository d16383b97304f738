"""jieba-rs behind the `Segmenter` interface, made to give jieba's very tokens.

jieba-rs alone is not identical (0.3 % of the tokens of news differ). What it finds by its dictionary is, where a block
holds only Han characters; so words are guessed here (`guessing`), runs of Latin characters are cut again by jieba's
rule, and blocks that hold a dictionary word with Latin characters, a deleted word, or an ideograph that jieba does not
know are given to jieba itself. Knows no full mode.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata, util
from itertools import chain
from pathlib import Path
from typing import Any

from tasks.text.guessing import Guesser
from tasks.text.jieba_engine import SEPARATOR, JiebaSegmenter, Vocabulary, load_vocabulary
from tasks.text.latin_runs import HAN, IS_LATIN, LATIN, LATIN_RUN, RARE_HAN, SPECIAL_RUN, TOKENS_OF_RUN, pairs_of

#: The version whose tokens were compared with jieba's, on every text of the benchmarks and on hostile alphabets.
PROVEN_VERSION = "0.2.2"
#: A word in no text (private characters are in no block), which takes what the sums of frequencies differ by.
BALANCE_WORD = "\ue000\ue001"
#: jieba-rs holds frequencies in 64 bits.
MAX_TOTAL = 1 << 62
#: More words than this in one pattern would cost more than they save.
MAX_DELETED_WORDS = 1000

#: How far back the beginning of a block is looked for at once; most are shorter.
STEP_CHARS = 64

_BLOCK = re.compile(f"[{HAN}{LATIN}]+")
_OUTSIDE = re.compile(f"[^{HAN}{LATIN}{RARE_HAN}]")


def installed_version() -> str | None:
    """Return the version of rjieba that is installed, None without it; imports nothing."""
    return metadata.version("rjieba") if util.find_spec("rjieba") is not None else None


def is_proven() -> bool:
    """Say whether the installed rjieba is the one whose tokens are known to be jieba's."""
    return installed_version() == PROVEN_VERSION


@dataclass(frozen=True, slots=True)
class FastVocabulary:
    """A dictionary as both engines hold it."""

    jieba: Vocabulary
    engine: Any
    #: Each finds a place in blocks that only jieba itself cuts right.
    hard: Sequence[re.Pattern[str]]


# As many as of jieba's own vocabularies, each some 60 MB.
@lru_cache(maxsize=3)
def load_fast_vocabulary(user_dictionary: bytes, cache_dir: Path) -> FastVocabulary | None:
    """Return the default dictionary with the user's on top of it, None for one that only jieba can hold."""
    plain = load_vocabulary(user_dictionary, cache_dir)
    default = load_vocabulary(b"", cache_dir).tokenizer.FREQ
    frequencies, total = plain.tokenizer.FREQ, plain.tokenizer.total
    changed = {word: count for word, count in frequencies.items() if count and default.get(word) != count}
    deleted = plain.forced_splits | {word for word, count in default.items() if count and not frequencies[word]}
    # jieba looks for words inside blocks only; there another one is never met.
    deleted = {word for word in deleted if _BLOCK.fullmatch(word)}
    if total >= MAX_TOTAL or len(deleted) > MAX_DELETED_WORDS:
        return None
    engine = _make_engine(changed, default, total)
    words = [word for word, count in frequencies.items() if count and IS_LATIN(word)]
    # One after the other: `re` looks for the first characters of each at once, but not for those of a choice.
    hard = [f"[{RARE_HAN}]", pairs_of(words), *(["|".join(map(re.escape, sorted(deleted)))] if deleted else [])]
    return FastVocabulary(plain, engine, [re.compile(pattern) for pattern in hard])


def _make_engine(changed: Mapping[str, int], default: Mapping[str, int], total: int) -> Any:
    import rjieba  # noqa: PLC0415 - 5 MB of dictionary that only a worker needs

    engine = rjieba.Jieba()
    for word, count in changed.items():
        engine.add_word(word, count, "")
    # A word's weight is its share of the sum. jieba adds to it whenever a word is given, a repeated one too; jieba-rs
    # takes back what the word had before.
    held = sum(default.values()) + sum(count - default.get(word, 0) for word, count in changed.items())
    engine.add_word(BALANCE_WORD, total - held, "")
    return engine


class FastSegmenter:
    """One vocabulary in precise or search mode. Several may live in one process and share a vocabulary."""

    def __init__(self, identity: Mapping[str, str], vocabulary: FastVocabulary, mode: str, *, hmm: bool) -> None:
        """Choose the way of the mode; `identity` is what `segmenter_identity` says of it."""
        self.identity = identity
        self._reference = JiebaSegmenter(identity, vocabulary.jieba, "precise", hmm=hmm)
        self._vocabulary = vocabulary
        self._engine = vocabulary.engine
        self._guesser = Guesser(vocabulary.jieba.tokenizer.FREQ) if hmm else None
        self._tokens_of_run = TOKENS_OF_RUN[hmm].findall
        self._inner_words = _InnerWords(vocabulary.jieba.tokenizer.FREQ) if mode == "search" else None

    def cut(self, text: str) -> list[str]:
        """Return the tokens of a text, in jieba's order."""
        try:
            tokens = self._cut(text)
        except UnicodeEncodeError:
            # Half a surrogate pair: Python can hold it, Rust cannot.
            tokens = self._reference.cut(text)
        if self._inner_words is None:
            return tokens
        return list(chain.from_iterable(map(self._inner_words.__getitem__, tokens)))

    def cut_joined(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of all texts, `SEPARATOR` between one and the next; no text may hold it."""
        return self.cut(SEPARATOR.join(texts))

    def _cut(self, text: str) -> list[str]:
        hard = sorted(found.start() for pattern in self._vocabulary.hard for found in pattern.finditer(text))
        special = [found.start() for found in SPECIAL_RUN.finditer(text)]
        tokens: list[str] = []
        by_jieba: list[tuple[int, int]] = []
        done = 0
        for position in sorted(hard + special) if hard else special:
            if position < done:
                continue
            start, end = _block_around(text, position)
            if start > done:
                # By the dictionary alone: what is guessed comes after.
                tokens += self._engine.cut(text[done:start], False)  # noqa: FBT003 - takes no keyword
            if bisect_left(hard, start) < bisect_left(hard, end):
                first = len(tokens)
                tokens += self._reference.cut(text[start:end])
                by_jieba.append((first, len(tokens)))
            else:
                tokens += self._cut_block(text[start:end])
            done = end
        if done < len(text):
            tokens += self._engine.cut(text[done:] if done else text, False)  # noqa: FBT003 - takes no keyword
        return tokens if self._guesser is None else self._guesser.join(text, tokens, by_jieba)

    def _cut_block(self, block: str) -> list[str]:
        """Cut a block whose runs of Latin characters are to be cut again."""
        tokens: list[str] = []
        runs = LATIN_RUN.finditer(block)
        run_start, run_end = next(runs).span()
        at = 0
        if run_end - run_start == len(block):
            return self._tokens_of_run(block)
        for token in self._engine.cut(block, False):  # noqa: FBT003 - takes no keyword
            if at < run_start:
                tokens.append(token)
            elif at == run_start:
                tokens += self._tokens_of_run(block, run_start, run_end)
            at += len(token)
            if at >= run_end:
                run_start, run_end = next((run.span() for run in runs), (len(block), len(block)))
        return tokens


def _block_around(text: str, position: int) -> tuple[int, int]:
    """Return where the block (of either engine) that holds a position begins and ends."""
    after = _OUTSIDE.search(text, position)
    start = position
    # Backwards in steps: a regular expression only looks forward.
    while start > 0:
        before = _OUTSIDE.search(text[max(start - STEP_CHARS, 0) : start][::-1])
        if before is not None:
            start -= before.start()
            break
        start = max(start - STEP_CHARS, 0)
    return start, len(text) if after is None else after.start()


class _InnerWords(dict[str, tuple[str, ...]]):
    """What search mode gives for a token: its two- and three-character words that the dictionary has, then itself."""

    def __init__(self, frequencies: Mapping[str, int]) -> None:
        super().__init__()
        self._frequencies = frequencies

    def __missing__(self, token: str) -> tuple[str, ...]:
        inner = [*self._inner(token, 2), *self._inner(token, 3)]
        self[token] = expansion = (*inner, token)
        return expansion

    def _inner(self, token: str, length: int) -> Iterable[str]:
        if len(token) <= length:
            return ()
        parts = (token[start : start + length] for start in range(len(token) - length + 1))
        return [part for part in parts if self._frequencies.get(part)]
