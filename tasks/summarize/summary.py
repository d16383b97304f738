"""A summary that is text of its document, where it stands there, and how long it may be. Chooses nothing.

Positions count characters (Unicode code points) of the document's text as it was given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tasks.nn.backend import UnfitTextError
from tasks.text.clauses import Span

Length = Literal["title", "short", "long"]

#: Characters of a summary at most, when the user names no other number: one line, a few clauses, a paragraph.
DEFAULT_MAX_CHARS: dict[Length, int] = {"title": 48, "short": 100, "long": 300}

#: What a summary does not end with: nothing follows any more. A title ends without a full stop too.
_TRAILING = "，,、：:；; \t\r\n\u3000"
_TITLE_TRAILING = _TRAILING + "。．.｡"


@dataclass(frozen=True, slots=True)
class Summary:
    """Stretches of a document in the order of the document, and their texts joined without anything between.

    A summary that a model wrote by itself has no spans.
    """

    spans: tuple[Span, ...]
    text: str


def length_named(name: str) -> Length:
    """Return a length by its name; raises ValueError for one that is none."""
    if name not in DEFAULT_MAX_CHARS:
        message = f"a length is one of {', '.join(DEFAULT_MAX_CHARS)}, not {name!r}"
        raise ValueError(message)
    return name


def max_chars_of(length: Length, max_chars: int | None) -> int:
    """Return the limit that holds; raises ValueError for a limit below 1."""
    if max_chars is None:
        return DEFAULT_MAX_CHARS[length]
    if max_chars < 1:
        message = f"a summary has at least 1 character, not {max_chars}"
        raise ValueError(message)
    return max_chars


def check_not_empty(text: str) -> None:
    """Raise `UnfitTextError` for a text without anything to summarize."""
    if not text or text.isspace():
        reason = "empty_text"
        raise UnfitTextError(reason, "the text is empty or white space only; there is nothing to summarize")


def own_summary(text: str, max_chars: int) -> Summary | None:
    """Return a text that is short enough as its own summary, without the white space around it; else None."""
    start, end = stripped(text, (0, len(text)))
    return Summary(((start, end),), text[start:end]) if end - start <= max_chars else None


def summary_of(text: str, spans: Iterable[Span], max_chars: int, *, title: bool = False) -> Summary:
    """Return the summary made of these stretches, in source order; stretches that touch become one.

    Of the white space behind a stretch one character stays, as the joint; the summary's end loses marks that announce
    more (`，：；`, for a title the full stop too). What is over `max_chars` is cut off. Stretches must not overlap.
    """
    places = [_with_one_blank(text, span) for span in _touching_joined(spans)]
    places = _within([place for place in places if place[0] < place[1]], max_chars)
    if places:
        start, end = places[-1]
        kept = text[start:end].rstrip(_TITLE_TRAILING if title else _TRAILING)
        # A stretch of nothing but marks stays what it is.
        places[-1] = (start, start + len(kept)) if kept else (start, end)
    return Summary(tuple(places), "".join(text[start:end] for start, end in places))


def stripped(text: str, span: Span) -> Span:
    """Return a stretch without the white space at its ends."""
    start, end = span
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, start + len(piece.strip()))


def without_tail(text: str, span: Span) -> Span:
    """Return a stretch as it would stand at the end of a summary: without white space and marks that announce more."""
    start, _ = stripped(text, span)
    return start, start + len(text[start : span[1]].rstrip(_TRAILING))


def _touching_joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _with_one_blank(text: str, span: Span) -> Span:
    start, end = stripped(text, span)
    return start, end + 1 if start < end < span[1] else end


def _within(places: list[Span], max_chars: int) -> list[Span]:
    left, kept = max_chars, []
    for start, end in places:
        if left > 0:
            kept.append((start, min(end, start + left)))
            left -= kept[-1][1] - start
    return kept
