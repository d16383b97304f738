"""What the span pointer is trained towards: how well every span of a text would do as the given title, by ROUGE.

Only counts characters of folded texts (`tasks.text.characters`); it computes no network and cuts no text. All spans up
to the greatest width are scored at once, one column of widths after another, so that a text costs milliseconds.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

#: How much ROUGE-1, ROUGE-2 and ROUGE-L count in a span's score.
MIX = (1 / 3, 1 / 3, 1 / 3)
#: The share of a span in the target falls by e for each 0.02 of score that it is below another.
TEMPERATURE = 0.02
#: Spans of the target; the shares of all others together are below a thousandth.
CANDIDATES = 256
#: Characters of a title that are compared: as many bits as the row of a longest common subsequence has.
MAX_TITLE_CHARS = 63
_NEVER = 1 << 40
_BLANK = ord(" ")


@dataclass(frozen=True, slots=True)
class SpanTarget:
    """A distribution over spans."""

    #: (K,): flat indices `start * widths + width - 1`.
    places: NDArray[np.int64]
    #: (K,): they sum to 1.
    shares: NDArray[np.float32]
    #: The score of the best span, as a fraction: how much of the title the text has in one piece.
    best: float


def span_target(
    text: NDArray[np.uint32], title: NDArray[np.uint32], allowed: NDArray[np.bool_], temperature: float = TEMPERATURE
) -> SpanTarget | None:
    """Return the soft target over the allowed spans (T, W) of a folded text, or None when there is none to share."""
    flat = np.flatnonzero(allowed)
    if not flat.size or not (title != _BLANK).any():
        return None
    score = np.tensordot(MIX, span_scores(text, title, allowed.shape[1]), axes=1).ravel()[flat]
    kept = np.argsort(-score, kind="stable")[:CANDIDATES]
    weights = np.exp((score[kept] - score[kept[0]]) / temperature)
    return SpanTarget(flat[kept], (weights / weights.sum()).astype(np.float32), float(score[kept[0]]))


def span_scores(text: NDArray[np.uint32], title: NDArray[np.uint32], widths: int) -> NDArray[np.float64]:
    """Return ROUGE-1, ROUGE-2 and ROUGE-L (F1, clipped, blanks left out) of every span, shape (3, T, W).

    A span beyond the end of the text scores as what there is of it.
    """
    wanted = title[title != _BLANK][:MAX_TITLE_CHARS].tolist()
    characters = text.tolist()
    seen = np.flatnonzero(text != _BLANK)
    before = np.full(len(text), -1)
    before[seen[1:]] = seen[:-1]
    pairs = [(characters[before[place]], characters[place]) if before[place] >= 0 else None for place in seen]
    first = np.full(len(text), _NEVER)
    first[seen] = _limits([characters[place] for place in seen], wanted, seen)
    second = np.full(len(text), _NEVER)
    second[seen] = _limits(pairs, list(pairwise(wanted)), before[seen])
    starts = np.arange(len(text))[:, None]  # (T, 1)
    ends = starts + np.arange(widths)  # (T, W)
    inside, ends = ends < len(text), np.minimum(ends, len(text) - 1)
    sizes = np.cumsum(inside & (text != _BLANK)[ends], axis=1)
    unigrams = np.cumsum(inside & (first[ends] < starts), axis=1)
    bigrams = np.cumsum(inside & (second[ends] < starts) & (before[ends] >= starts), axis=1)
    common = _common_subsequences(characters, wanted, widths)
    return np.stack(
        [
            2 * unigrams / (sizes + len(wanted)),
            2 * bigrams / np.maximum(sizes + len(wanted) - 2, 1),
            2 * common / (sizes + len(wanted)),
        ]
    )


def _limits(grams: Sequence[object], wanted: Sequence[object], places: NDArray[np.int64]) -> list[int]:
    """Return for each n-gram the position behind which a span must start for this occurrence to be counted.

    With clipped counts an n-gram that the title has m times counts unless m earlier occurrences are in the span.
    """
    limits: dict[object, int] = defaultdict(int)
    for gram in wanted:
        limits[gram] += 1
    last: dict[object, deque[int]] = {gram: deque(maxlen=count) for gram, count in limits.items()}
    found = []
    for gram, place in zip(grams, places.tolist(), strict=True):
        earlier = last.get(gram)
        if gram is None or earlier is None:
            found.append(_NEVER)
            continue
        found.append(earlier[0] if len(earlier) == limits[gram] else -1)
        earlier.append(place)
    return found


def _common_subsequences(characters: Sequence[int], wanted: Sequence[int], widths: int) -> NDArray[np.int64]:
    """Return the length of the longest common subsequence of every span and the title, shape (T, W).

    Bit-parallel (Hyyrö 2004) with one machine word a start: spans of all starts grow by one character at a time.
    """
    positions: dict[int, int] = {}
    for place, character in enumerate(wanted):
        positions[character] = positions.get(character, 0) | 1 << place
    matches = np.array([positions.get(character, 0) if character != _BLANK else 0 for character in characters])
    matches = np.concatenate([matches.astype(np.uint64), np.zeros(widths, dtype=np.uint64)])
    everything = np.uint64((1 << len(wanted)) - 1)
    rows = np.full(len(characters), everything)
    lengths = np.zeros((len(characters), widths), dtype=np.int64)
    for width in range(widths):
        found = rows & matches[width : width + len(characters)]
        rows = ((rows + found) | (rows - found)) & everything
        lengths[:, width] = len(wanted) - np.bitwise_count(rows).astype(np.int64)
    return lengths
