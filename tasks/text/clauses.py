"""Cuts text into clauses and sentences by its punctuation, full-width or half-width. Knows no grammar and no words.

Positions count characters (Unicode code points) of the text as it was given. The pieces cover the text without gaps: a
mark, the quotes and brackets it closes and the white space behind it belong to the piece before them. Every sentence
end is a clause end. Time is linear in the length of the text, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

Span = tuple[int, int]

#: Longest clause, in characters; a longer run without marks is cut at white space, or else at exactly this length.
MAX_CLAUSE_CHARS = 120
#: Longest sentence, in characters; a longer one is cut at the last clause end within, or else like a clause.
MAX_SENTENCE_CHARS = 400

#: A run of marks. Colons and commas end a clause, all others a sentence; which it is, its context decides.
_MARKS = re.compile(r"[。．.｡！!？?；;…，,：:\n\r\v\f\x85\u2028\u2029]+")
_CLAUSE_MARKS = frozenset("，,：:")
_LINE_ENDS = frozenset("\n\r\v\f\x85\u2028\u2029")
#: Half-width marks that also stand inside of numbers, names, times, addresses and code.
_AMBIGUOUS = frozenset(".．,:：!?;")
#: Quotes, brackets and white space that belong to the mark before them.
_CLOSING = re.compile(r"[”’」』）)】》〉\]}]*\s*")
#: A straight quote closes only behind a sentence end; `:"` opens one.
_STRAIGHT_CLOSING = re.compile(r"[\"'”’」』）)】》〉\]}]*\s*")
#: Addresses, and what stands in one pair of brackets or book-title marks: their marks end nothing. The bounds keep the
#: search linear in a text of opening brackets only.
_WHOLE = re.compile(
    r"[A-Za-z][A-Za-z0-9+.-]{0,19}://[^\s<>\"，。；、！？：（）《》“”\u3400-\u9fff]{1,2000}"
    r"|（[^（）\n]{1,60}）|\([^()\n]{1,60}\)|《[^《》\n]{1,60}》|【[^【】\n]{1,60}】"
)
_LIST_NUMBER = re.compile(r"[\n\r。；;：:] {0,2}[0-9]{1,2}\Z")
_WORD_BEFORE = re.compile(r"[A-Za-z.]+\Z")
_ABBREVIATIONS = re.compile(r"(?:al|ca|cf|co|dr|e\.g|eq|etc|fig|i\.e|inc|ltd|mr|mrs|ms|no|pp|prof|st|u\.s|vol|vs)")


@dataclass(frozen=True, slots=True)
class _End:
    """Where a piece ends (the position behind it), and whether a sentence ends there too."""

    position: int
    is_sentence_end: bool


def clauses(text: str, max_chars: int = MAX_CLAUSE_CHARS) -> list[Span]:
    """Return the clauses: `"结果表明,甲为3.5.方法"` -> `[(0, 5), (5, 11), (11, 13)]`; none for an empty text.

    White space before the first clause belongs to it; a text of white space only is one clause.
    """
    return list(_bounded(text, [end.position for end in _ends(text)], max_chars))


def sentences(text: str, max_chars: int = MAX_SENTENCE_CHARS) -> list[Span]:
    """Return the sentences, which end at 。！？；…, their half-width forms, and line ends; none for an empty text."""
    ends = list(_ends(text))
    return list(_bounded(text, _sentence_ends(ends, max_chars), max_chars))


def _sentence_ends(ends: list[_End], max_chars: int) -> Iterator[int]:
    """Yield the ends of sentences, and the last clause end within in those that are too long."""
    start = previous = 0
    for end in ends:
        if end.position - start > max_chars and previous > start:
            yield previous
            start = previous
        if end.is_sentence_end:
            yield end.position
            start = end.position
        previous = end.position


def _bounded(text: str, ends: Iterator[int] | list[int], max_chars: int) -> Iterator[Span]:
    start = 0
    for end in ends:
        while end - start > max_chars:
            cut = _hard_cut(text, start, max_chars)
            yield start, cut
            start = cut
        yield start, end
        start = end


def _hard_cut(text: str, start: int, max_chars: int) -> int:
    """Return where to cut a run without marks: behind the last white space of its second half, or at the limit."""
    stop = start + max_chars
    for position in range(stop, start + max_chars // 2, -1):
        if text[position - 1].isspace():
            return position
    return stop


def _ends(text: str) -> Iterator[_End]:
    """Yield the ends of all clauses in order; the last one is the end of the text."""
    previous = len(text) - len(text.lstrip())
    for mark_start, mark_end in _outside_of_wholes(text):
        kind = _kind(text, mark_start, mark_end)
        if kind is None:
            continue
        closing = _STRAIGHT_CLOSING if kind else _CLOSING
        match = closing.match(text, mark_end)
        position = match.end() if match else mark_end
        if position > previous and position < len(text):
            yield _End(position, kind)
        previous = position
    if text:
        yield _End(len(text), is_sentence_end=True)


def _outside_of_wholes(text: str) -> Iterator[Span]:
    """Yield the runs of marks that stand in no address and in no pair of brackets."""
    wholes = _WHOLE.finditer(text)
    whole = next(wholes, None)
    for match in _MARKS.finditer(text):
        while whole is not None and whole.end() <= match.start():
            whole = next(wholes, None)
        if whole is None or match.start() < whole.start():
            yield match.span()


def _kind(text: str, start: int, end: int) -> bool | None:
    """Tell what a run of marks ends: True for a sentence, False for a clause, None for nothing."""
    if text[start:end] == "::":  # `std::vector`
        return None
    if end - start > 1 or text[start] not in _AMBIGUOUS:
        # `etc.,` goes on; `...` and `……` end.
        return text[end - 1] == "." or not all(mark in _CLAUSE_MARKS or mark == "." for mark in text[start:end])
    before, after = text[start - 1 : start], text[end : end + 1]
    if _is_inner(text[start], before, after):
        return None
    if text[start] == "." and (_is_list_number(text, start) or _is_abbreviation(text, start)):
        return None
    return text[start] not in _CLAUSE_MARKS


def _is_inner(mark: str, before: str, after: str) -> bool:
    """Tell whether a mark joins what stands on its two sides: `3.14`, `1,000`, `12:30`, `a.txt`, `./run`, `!=`."""
    if mark in "．：":
        return before.isdecimal() and after.isdecimal()
    if _is_latin(before) and _is_latin(after):
        return True
    if mark in ".!:" and after and after in "/\\=-_*":
        return True
    # A name that starts with a dot: `.NET`, `.bashrc`; but `影响.DNA` is two sentences.
    return mark == "." and _is_latin(after) and not after.isdecimal() and (before in {"", " ", "/"} or after.islower())


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()


def _is_list_number(text: str, start: int) -> bool:
    """Tell whether a full stop at `start` numbers what follows: the `1.` of `1. 安装`, and of `如下：1.安装`."""
    window = text[max(0, start - 5) : start]
    return _LIST_NUMBER.search(window if start > len(window) else "\n" + window) is not None


def _is_abbreviation(text: str, start: int) -> bool:
    """Tell whether a full stop at `start` belongs to `et al.`, `e.g.` or the initial of a name."""
    if text[start + 1 : start + 2] != " ":
        return False
    word = _WORD_BEFORE.search(text[max(0, start - 8) : start])
    if word is None:
        return False
    return _ABBREVIATIONS.fullmatch(word[0].lower()) is not None or (
        len(word[0]) == 1 and text[start + 2 : start + 3].isupper()
    )
