"""What a generator reads of a text: the window at its beginning, with a token of its own for each unknown character.

Runs no network; turns what a network wrote into text again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.nn.pointer_generator import PointerGeneratorSettings, SourceBatch
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.span_windows import cut_windows
from tasks.text.characters import UNKNOWN, CharacterVocabulary, folded

#: Letters and digits that stand together: a summary writes them as the text does.
_LATIN = re.compile(r"[^\W\u2e80-\U0003ffff_]+")


@dataclass(frozen=True, slots=True)
class SourceWindow:
    """The beginning of a text as the network reads it."""

    #: As it stands in the text.
    piece: str
    #: (T,).
    characters: NDArray[np.int32]
    #: (T, F).
    features: NDArray[np.float32]
    #: (T,): the token that each position is copied as.
    copied: NDArray[np.int64]
    #: The folded code points that the vocabulary has not; the first has the first number behind the vocabulary.
    unknown: NDArray[np.uint32]

    @property
    def length(self) -> int:
        """How many characters it has."""
        return len(self.characters)


def read_source(
    text: str,
    vocabulary: CharacterVocabulary,
    statistics: PairStatistics,
    settings: PointerGeneratorSettings,
    *,
    counted: bool = False,
) -> SourceWindow:
    """Return the first window of a text; `counted` says that the text is among those of the statistics."""
    start, end = cut_windows(text, max_windows=1)[0]
    piece = text[start:end]
    points = folded(piece)
    characters = vocabulary.encode(points)
    is_unknown = characters == UNKNOWN
    unknown, places = np.unique(points[is_unknown], return_inverse=True)
    copied = characters.astype(np.int64)
    copied[is_unknown] = settings.size + places
    return SourceWindow(piece, characters, statistics.features(points, counted=counted), copied, unknown)


def collate_sources(windows: Sequence[SourceWindow], settings: PointerGeneratorSettings) -> SourceBatch:
    """Return windows as one batch, padded to the longest."""
    shape = (len(windows), max(window.length for window in windows))
    characters = np.zeros(shape, dtype=np.int32)
    features = np.zeros((*shape, FEATURES), dtype=np.float32)
    copied = np.zeros(shape, dtype=np.int64)
    for row, window in enumerate(windows):
        characters[row, : window.length] = window.characters
        features[row, : window.length] = window.features
        copied[row, : window.length] = window.copied
    tokens = settings.size + max(len(window.unknown) for window in windows)
    return SourceBatch(torch.from_numpy(characters), torch.from_numpy(features), torch.from_numpy(copied), tokens)


def target_tokens(
    text: str, window: SourceWindow, vocabulary: CharacterVocabulary, settings: PointerGeneratorSettings
) -> NDArray[np.int64]:
    """Return the tokens that write a text, its end among them: an unknown character is one that the window has."""
    points = folded(text)
    tokens = vocabulary.encode(points).astype(np.int64)
    places = np.searchsorted(window.unknown, points)
    is_copied = (tokens == UNKNOWN) & np.isin(points, window.unknown)
    tokens[is_copied] = settings.size + places[is_copied]
    return np.append(tokens, settings.end)


def text_of(
    tokens: Sequence[int], window: SourceWindow, vocabulary: CharacterVocabulary, settings: PointerGeneratorSettings
) -> str:
    """Return the text that tokens stand for; letters and digits are written as the window has them, if it does."""
    characters = [
        vocabulary.characters[token - 2] if token < settings.characters else chr(window.unknown[token - settings.size])
        for token in tokens
    ]
    return as_written("".join(characters), window.piece)


def as_written(text: str, source: str) -> str:
    """Return a folded text with the letters and digits of the source in the place of equal ones.

    >>> as_written("基于bp网络的pid控制", "本文提出ＢＰ网络与PID控制的结合")
    '基于ＢＰ网络的PID控制'
    """
    points = folded(source)
    plain = "".join(map(chr, points))
    forms = {plain[match.start() : match.end()]: match.span() for match in reversed([*_LATIN.finditer(plain)])}

    def form(match: re.Match[str]) -> str:
        start, end = forms.get(match[0], (0, 0))
        return source[start:end] or match[0]

    return _LATIN.sub(form, text)
