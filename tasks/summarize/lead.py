"""The beginning of a document as its summary: the simplest there is, and hard to beat on news. Needs no model."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from tasks.summarize.summary import Length, Summary, check_not_empty, max_chars_of, own_summary, summary_of
from tasks.summarize.windowless import Windowless
from tasks.text.clauses import MAX_CLAUSE_CHARS, Span, clauses

#: Changes whenever the same text would get another summary.
VERSION = "lead 1"


class LeadBackend(Windowless):
    """The first clause for a title, else as many clauses from the beginning as fit."""

    def __init__(self, length: Length, max_chars: int | None = None) -> None:
        """Make it for a length; raises ValueError for a limit below 1."""
        super().__init__(hashlib.sha256(VERSION.encode()).hexdigest())
        self._is_title = length == "title"
        self._max_chars = max_chars_of(length, max_chars)

    def summarize(self, text: str) -> Summary:
        """Return the summary; raises `UnfitTextError` for an empty text."""
        check_not_empty(text)
        own = own_summary(text, self._max_chars)
        return own or summary_of(text, self._first(text), self._max_chars, title=self._is_title)

    def _first(self, text: str) -> Sequence[Span]:
        offset = len(text) - len(text.lstrip())
        # One clause more than fits, so that no clause that does fit was cut by the end of this stretch.
        head = text[offset : offset + self._max_chars + 2 * MAX_CLAUSE_CHARS]
        places = [(offset + start, offset + end) for start, end in clauses(head)]
        fitting = [place for place in places if len(text[offset : place[1]].rstrip()) <= self._max_chars]
        return fitting[:1] if self._is_title and fitting else fitting or places[:1]
