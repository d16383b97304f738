"""How long the documents of a shard are, and of which months: what is kept beside its counts. Counts no words.

Lengths are in characters (code points). The bins of their histogram are one length each below 100 and lengths of two
equal first digits above: 100 to 109, 1200 to 1299. So bins of different shards never overlap.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

#: The month of what carries no date.
UNDATED = 0
#: Lengths below this have a bin each.
EXACT_BELOW = 100
#: Where bins become ten times as wide.
_WIDER_AT = np.array([EXACT_BELOW * 10**power for power in range(16)], np.int64)
#: Bits that a length may take.
_CHARS_BITS = 40


def bins_of(chars: Any) -> Any:
    """Return the shortest length in the bin of each length, `[99, 1234] -> [99, 1200]`."""
    widths = 10 ** np.searchsorted(_WIDER_AT, chars, side="right").astype(np.int64)
    return chars // widths * widths


def bin_end(shortest: int) -> int:
    """Return the longest length in the bin that begins with a length, `1200 -> 1299`."""
    return shortest if shortest < EXACT_BELOW else shortest + 10 ** (len(str(shortest)) - 2) - 1


class MonthSums(NamedTuple):
    """What the documents of a month add up to."""

    documents: int
    tokens: int
    characters: int


class DocumentFigures:
    """Documents by their month, and by month and length."""

    __slots__ = ("characters", "documents", "lengths", "tokens")

    def __init__(self) -> None:
        """Begin with no document."""
        #: By month.
        self.documents: Counter[int] = Counter()
        self.tokens: Counter[int] = Counter()
        self.characters: Counter[int] = Counter()
        #: Documents by month and by the shortest length of their bin.
        self.lengths: Counter[tuple[int, int]] = Counter()

    def add(self, chars: Any, months: Any | None = None) -> None:
        """Add documents by their lengths, arrays both; without `months` they are undated."""
        if months is None:
            months = np.zeros(len(chars), np.int64)
        found, places = np.unique(months, return_inverse=True)
        characters = np.zeros(len(found), np.int64)
        np.add.at(characters, places, chars)
        self.documents.update(dict(zip(found.tolist(), np.bincount(places).tolist(), strict=True)))
        self.characters.update(dict(zip(found.tolist(), characters.tolist(), strict=True)))
        bins, numbers = np.unique(months << _CHARS_BITS | bins_of(chars), return_counts=True)
        pairs = zip((bins >> _CHARS_BITS).tolist(), (bins & (1 << _CHARS_BITS) - 1).tolist(), strict=True)
        self.lengths.update(dict(zip(pairs, numbers.tolist(), strict=True)))

    def add_tokens(self, tokens: Mapping[int, int]) -> None:
        """Add the tokens of months."""
        self.tokens.update(tokens)

    def add_encoded(self, encoded: bytes) -> None:
        """Add what `encode` wrote; raises ValueError for what it did not."""
        try:
            given = json.loads(encoded)
            for month, documents, tokens, characters in given["months"]:
                self.documents[month] += documents
                self.tokens[month] += tokens
                self.characters[month] += characters
            for month, shortest, documents in given["lengths"]:
                self.lengths[month, shortest] += documents
        except (TypeError, KeyError, ValueError) as fault:
            message = f"these bytes are no figures of documents: {fault}"
            raise ValueError(message) from fault

    def months(self) -> dict[int, MonthSums]:
        """Return the sums of each month that has a document, in order."""
        return {
            month: MonthSums(self.documents[month], self.tokens[month], self.characters[month])
            for month in sorted(self.documents)
        }

    def encode(self) -> bytes:
        """Return all of it as JSON; equal figures give equal bytes."""
        months = [[month, *sums] for month, sums in self.months().items()]
        lengths = [[*place, documents] for place, documents in sorted(self.lengths.items())]
        return json.dumps({"months": months, "lengths": lengths}, separators=(",", ":")).encode()
