"""The most central clauses of a document as its summary, by TextRank over character bigrams. Needs no model."""

from __future__ import annotations

import hashlib

import numpy as np

from tasks.summarize.selection import choose
from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary, summary_of
from tasks.summarize.windowless import Windowless
from tasks.text.clauses import MAX_CLAUSE_CHARS, clauses
from tasks.text.rouge import normalize
from tasks.text.textrank import clause_ranks

#: Changes whenever the same text would get another summary.
VERSION = "textrank 1"
#: Clauses that are read, from the beginning: what comes later in a longer document is not ranked.
MAX_CLAUSES = 512


class TextRankBackend(Windowless):
    """The most central clause for a title, else the most central clauses that fit, in source order."""

    def __init__(self, length: Length, max_chars: int | None = None) -> None:
        """Make it for a length; raises ValueError for a limit below 1."""
        super().__init__(hashlib.sha256(VERSION.encode()).hexdigest())
        self._is_title = length == "title"
        self._max_chars = max_chars_of(length, max_chars)

    def summarize(self, text: str) -> Summary:
        """Return the summary; raises `UnfitTextError` for an empty text."""
        check_not_empty(text)
        own = own_summary(text, self._max_chars)
        if own is not None:
            return own
        places = clauses(text[: MAX_CLAUSES * MAX_CLAUSE_CHARS])[:MAX_CLAUSES]
        pieces = [text[start:end] for start, end in places]
        ranks = clause_ranks([normalize(piece) for piece in pieces])
        chosen = [] if self._is_title else choose(pieces, ranks, self._max_chars)
        # The best clause stands alone in a title, and is cut where not even one clause fits.
        indices = chosen or [int(np.argmax(ranks))]
        return summary_of(text, [places[index] for index in indices], self._max_chars, title=self._is_title)
