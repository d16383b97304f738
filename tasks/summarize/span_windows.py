"""Cuts a text into the windows that the span pointer reads, and puts windows into batches. Runs no network.

However long a text is, a bounded number of windows is made of it: what comes later is not read.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.nn.span_pointer import SpanBatch
from tasks.summarize.span_features import FEATURES, PairStatistics, span_limits
from tasks.text.characters import CharacterVocabulary, folded
from tasks.text.clauses import MAX_CLAUSE_CHARS, Span, clauses, sentences

#: Characters of a window at most; an abstract fits into one.
WINDOW_CHARS = 320
#: Windows that are read of a text, from its beginning: about 20,000 characters.
MAX_WINDOWS = 64


@dataclass(frozen=True, slots=True)
class SpanWindow:
    """A stretch of a text as the network reads it."""

    #: Where it begins in the text.
    offset: int
    #: (T,).
    characters: NDArray[np.int32]
    #: (T, F).
    features: NDArray[np.float32]
    #: (T,): how wide a span may be that starts here.
    room: NDArray[np.int64]
    #: (T,).
    may_end: NDArray[np.bool_]

    @property
    def length(self) -> int:
        """How many characters it has."""
        return len(self.characters)


def cut_windows(text: str, max_windows: int = MAX_WINDOWS) -> list[Span]:
    """Return windows that cover the text, or its beginning, each at most `WINDOW_CHARS` long.

    A window ends with a sentence where one ends in its second half, else with a clause.
    """
    read = text[: max_windows * WINDOW_CHARS]
    if len(read) <= WINDOW_CHARS:
        return [(0, len(read))] if read else []
    # A clause is never longer than half a window, so that there is always an end to be found.
    clause_ends = [end for _, end in clauses(read, min(MAX_CLAUSE_CHARS, WINDOW_CHARS // 2))]
    sentence_ends = [end for _, end in sentences(read)]
    windows: list[Span] = []
    start = 0
    while start < len(read) and len(windows) < max_windows:
        limit = start + WINDOW_CHARS
        end = len(read)
        if limit < end:
            end = _last_within(sentence_ends, limit)
            if end <= start + WINDOW_CHARS // 2:
                end = _last_within(clause_ends, limit)
        windows.append((start, end))
        start = end
    return windows


def read_window(
    text: str,
    span: Span,
    vocabulary: CharacterVocabulary,
    statistics: PairStatistics,
    max_width: int,
    *,
    counted: bool = False,
) -> SpanWindow:
    """Return a window as the network reads it; `counted` says that its text is among those of the statistics."""
    piece = text[span[0] : span[1]]
    points = folded(piece)
    room, may_end = span_limits(piece, max_width)
    features = statistics.features(points, counted=counted)
    return SpanWindow(span[0], vocabulary.encode(points), features, room, may_end)


def collate(windows: Sequence[SpanWindow]) -> SpanBatch:
    """Return windows as one batch, padded to the longest."""
    shape = (len(windows), max(window.length for window in windows))
    characters = np.zeros(shape, dtype=np.int32)
    features = np.zeros((*shape, FEATURES), dtype=np.float32)
    room = np.zeros(shape, dtype=np.int32)
    may_end = np.zeros(shape, dtype=bool)
    for row, window in enumerate(windows):
        characters[row, : window.length] = window.characters
        features[row, : window.length] = window.features
        room[row, : window.length] = window.room
        may_end[row, : window.length] = window.may_end
    arrays = (characters, features, room, may_end)
    return SpanBatch(*(torch.from_numpy(array) for array in arrays))


def _last_within(ends: Sequence[int], limit: int) -> int:
    """Return the last of some ascending positions that is at most `limit`; 0 without one."""
    place = bisect_right(ends, limit)
    return ends[place - 1] if place else 0
