"""Finds the places of a text that jieba-rs cuts otherwise than jieba does, by tables of characters.

A block is what jieba looks at as a whole: Han characters U+4E00–U+9FD5 and letters, digits and `+#&._%-`. Looks each
character up once, in arrays; patterns would read the text several times. Cuts nothing.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from tasks.text.latin_runs import HAN, LATIN, LATIN_SYMBOLS, RARE_HAN, pair_of

#: What is known of a character, a bit each.
_HAN, _LETTER, _SYMBOL, _RARE, _FIRST, _SECOND = (1 << bit for bit in range(6))
_LATIN = _LETTER | _SYMBOL
_IN_BLOCK = _HAN | _LATIN | _RARE
_UNICODE = 0x110000


class OddPlaces(NamedTuple):
    """The places of a text that are cut otherwise, from and to where they reach."""

    #: Blocks that only jieba itself cuts right, in their order.
    hard_blocks: list[tuple[int, int]]
    #: Latin runs outside those blocks that are not of letters and digits alone, as arrays; in any order.
    run_starts: Any
    run_ends: Any


class PlaceFinder:
    """Finds the odd places for one dictionary: it decides what only jieba itself cuts right."""

    def __init__(self, words: Collection[str], deleted: Collection[str]) -> None:
        """Take the dictionary's words (those with Latin characters matter) and what it has deleted."""
        self._kinds = np.zeros(_UNICODE, np.uint8)
        for ranges, kind in ((HAN, _HAN), (LATIN, _LETTER), (RARE_HAN, _RARE)):
            for first, last in ranges:
                self._kinds[ord(first) : ord(last) + 1] |= kind
        self._kinds[[*map(ord, LATIN_SYMBOLS)]] = _SYMBOL
        pairs = {pair for pair in map(pair_of, words) if pair}
        self._kinds[[ord(pair[0]) for pair in pairs]] |= _FIRST
        self._kinds[[ord(pair[1]) for pair in pairs]] |= _SECOND
        self._pairs = np.array([ord(pair[0]) << 32 | ord(pair[1]) for pair in pairs], np.uint64)
        self._deleted = re.compile("|".join(map(re.escape, sorted(deleted)))) if deleted else None

    def find(self, text: str, codes: Any) -> OddPlaces:
        """Return the odd places of a text; `codes` are `codes_of` it."""
        kinds = self._kinds[codes]
        starts, ends = _special_runs(kinds)
        hard = self._hard(text, codes, kinds)
        if not len(hard):
            return OddPlaces([], starts, ends)
        borders = np.flatnonzero((kinds & _IN_BLOCK) == 0)
        border = np.unique(np.searchsorted(borders, hard))
        # A place in `codes` is one more than in the text, and a block begins one after the border.
        block_starts, block_ends = borders[border - 1], borders[border] - 1
        outside = np.searchsorted(block_starts, starts, "right") == np.searchsorted(block_ends, starts, "right")
        blocks = [*zip(block_starts.tolist(), block_ends.tolist(), strict=True)]
        return OddPlaces(blocks, starts[outside], ends[outside])

    def _hard(self, text: str, codes: Any, kinds: Any) -> Any:
        rare = np.flatnonzero(kinds & _RARE)
        mixed = np.flatnonzero(((kinds[:-1] & _FIRST) != 0) & ((kinds[1:] & _SECOND) != 0))
        if len(mixed):
            pairs = codes[mixed].astype(np.uint64) << np.uint64(32) | codes[mixed + 1]
            mixed = mixed[np.isin(pairs, self._pairs)]
        found = [match.start() + 1 for match in self._deleted.finditer(text)] if self._deleted else []
        return np.concatenate([rare, mixed, np.array(found, np.int64)])


def _special_runs(kinds: Any) -> tuple[Any, Any]:
    """Return where the runs of two Latin characters or more begin and end that are not all letters and digits."""
    is_latin = (kinds & _LATIN) != 0
    is_symbol = (kinds & _SYMBOL) != 0
    special = np.flatnonzero(is_latin[:-1] & is_latin[1:] & (is_symbol[:-1] | is_symbol[1:]))
    if not len(special):
        return special, special
    edges = np.flatnonzero(is_latin[1:] != is_latin[:-1])
    starts, ends = edges[::2], edges[1::2]
    run = np.unique(np.searchsorted(starts, special, "left") - 1)
    return starts[run], ends[run]
