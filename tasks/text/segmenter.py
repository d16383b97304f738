"""The interface of every engine that cuts text into tokens, and the choice among them.

jieba is the reference. Where rjieba is known to give the same tokens on every input it is taken, for it is several
times as fast. Filters nothing (`token_filter`) and checks no dictionary by itself (`user_dictionary`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from tasks.text import jieba_engine, rjieba_engine
from tasks.text.fast_vocabulary import load_fast_vocabulary
from tasks.text.user_dictionary import check_user_dictionary, user_dictionary_digest
from tasks.text.word_numbers import SEPARATOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from tasks.text.word_numbers import NumberedTokens, WordNumbers

Mode = Literal["precise", "full", "search"]


@dataclass(frozen=True, slots=True)
class SegmenterOptions:
    """How text is cut: jieba's precise, full or search mode, and whether unknown words are guessed (`hmm`).

    The full mode never guesses, whatever `hmm` says. Raises ValueError for a mode that is none of the three.
    """

    mode: Mode = "precise"
    hmm: bool = True

    def __post_init__(self) -> None:
        """Check what may come from a stored job, where no type checker looked."""
        if self.mode not in get_args(Mode):
            message = f"the mode must be one of {', '.join(get_args(Mode))}, and is {self.mode!r}"
            raise ValueError(message)


class Segmenter(Protocol):
    """Cuts texts into tokens; the same text always gives the same tokens while `identity` is the same."""

    @property
    def identity(self) -> Mapping[str, str]:
        """Everything that decides the tokens, for the fingerprint of a result."""

    def cut(self, text: str) -> list[str]:
        """Return the tokens of a text in the engine's order; none for an empty text."""

    def cut_joined(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of all texts, `SEPARATOR` between one and the next; no text may hold it.

        The same tokens as text by text, in less time.
        """

    def cut_numbered(self, texts: Sequence[str], numbers: WordNumbers) -> NumberedTokens:
        """Return the tokens of all texts by the numbers of their words, in no order; no text may hold `SEPARATOR`.

        For counting, which needs no list of the tokens; in less time again.
        """


def split_joined(tokens: Sequence[str]) -> Iterator[list[str]]:
    """Yield the tokens of each text that was cut with others: ["a", SEPARATOR, SEPARATOR, "b"] -> ["a"], [], ["b"]."""
    start = 0
    for _ in range(tokens.count(SEPARATOR)):
        end = tokens.index(SEPARATOR, start)
        yield [*tokens[start:end]]
        start = end + 1
    yield [*tokens[start:]]


def fast_engine(options: SegmenterOptions) -> str:
    """Return the name and version of what stands in for jieba with these options; "" where jieba cuts itself."""
    # No way was found to have full mode from it that is both exact and fast.
    if options.mode == "full" or not rjieba_engine.is_proven():
        return ""
    return f"rjieba {rjieba_engine.PROVEN_VERSION}"


def segmenter_identity(options: SegmenterOptions, user_dictionary_digest: str = "") -> Mapping[str, str]:
    """Return the identity that a segmenter opened with these would have, without loading an engine or dictionary."""
    return {
        **jieba_engine.engine_identity(),
        "fast_engine": fast_engine(options),
        "user_dictionary": user_dictionary_digest,
        "mode": options.mode,
        # One value for both settings where hmm decides nothing, so that results are shared.
        "hmm": "unused" if options.mode == "full" else str(options.hmm).lower(),
    }


def open_segmenter(options: SegmenterOptions, user_dictionary: bytes | None, cache_dir: Path) -> Segmenter:
    """Return a segmenter that is loaded and ready, so that processes forked later share its dictionary.

    `cache_dir` must be private to this user; the parsed default dictionary is kept there. It is only a help: when it
    is unwritable or its content broken, the dictionary is parsed again. Opening the same dictionary a second time in
    one process costs nothing. Raises `DictionaryError` for a user dictionary with a broken line.
    """
    dictionary = user_dictionary or b""
    check_user_dictionary(dictionary)
    identity = segmenter_identity(options, user_dictionary_digest(dictionary))
    if fast_engine(options):
        fast = load_fast_vocabulary(dictionary, cache_dir)
        if fast is not None:
            return rjieba_engine.FastSegmenter(identity, fast, options.mode, hmm=options.hmm)
    vocabulary = jieba_engine.load_vocabulary(dictionary, cache_dir)
    return jieba_engine.JiebaSegmenter(identity, vocabulary, options.mode, hmm=options.hmm)
