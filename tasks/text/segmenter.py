"""The interface of every engine that cuts text into tokens, and the choice among them.

Today there is one engine, jieba. Another may stand behind `open_segmenter` only if it gives the same tokens on every
input. Filters nothing (`token_filter`) and checks no dictionary by itself (`user_dictionary`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from tasks.text import jieba_engine
from tasks.text.user_dictionary import check_user_dictionary, user_dictionary_digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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


def segmenter_identity(options: SegmenterOptions, user_dictionary_digest: str = "") -> Mapping[str, str]:
    """Return the identity that a segmenter opened with these would have, without loading an engine or dictionary."""
    return {
        **jieba_engine.engine_identity(),
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
    vocabulary = jieba_engine.load_vocabulary(dictionary, cache_dir)
    return jieba_engine.JiebaSegmenter(identity, vocabulary, options.mode, hmm=options.hmm)
