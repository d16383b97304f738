"""Finds the numbers, dates and names of a summary that its document does not have. Knows no meaning.

What it cannot see: a number of the document in the wrong place, a unit that was changed, a negation that was dropped.
Names are an approximation: what `jieba.posseg` takes for a person (nr), a place (ns) or an organization (nt), of two
and more characters, if the document has the same characters nowhere; and words of Latin letters, if the document has
them nowhere as whole words.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from tasks.text.jieba_engine import import_jieba, parse_default_dictionary, tokenizer_with
from tasks.text.number_mentions import NUMERALS, all_values, numbers, read, values
from tasks.text.rouge import normalize

#: Tags of jieba for names; nrt are transcribed ones, nrfg some from history.
NAME_TAGS = frozenset({"nr", "nrt", "nrfg", "ns", "nt"})
_LATIN = re.compile(r"[a-z\u00df-\u024f]{2,}")
_DAY = rf"(\d{{1,2}}|[{NUMERALS}]{{1,3}})"
_YEAR = r"(\d{4}|[零〇一二三四五六七八九]{4})"
#: 2024年7月8日 and its parts, and 2024-07-08; a year alone has four digits, since 10年 are a duration.
_DATE = re.compile(
    rf"{_YEAR} ?年(?: ?{_DAY} ?月(?: ?{_DAY} ?[日号])?)?"
    rf"|{_DAY} ?月(?: ?{_DAY} ?[日号])?|{_DAY} ?日"
    r"|(?<!\d)(\d{4})([-/.])(\d{1,2})\8(\d{1,2})(?!\d)"
)
#: Year, month and day, as values of numbers; None for what is not said.
Date = tuple[str | None, str | None, str | None]


@dataclass(frozen=True, slots=True)
class Claims:
    """What a summary says that can be looked up in its document, and what of it is not there."""

    numbers: tuple[str, ...]
    invented_numbers: tuple[str, ...]
    dates: tuple[str, ...]
    invented_dates: tuple[str, ...]
    names: tuple[str, ...]
    invented_names: tuple[str, ...]

    @property
    def invented(self) -> int:
        """How many of them are not there."""
        return len(self.invented_numbers) + len(self.invented_dates) + len(self.invented_names)


class SourceFacts:
    """The numbers, dates and words of a document, to compare many summaries with."""

    def __init__(self, text: str) -> None:
        """Read the document."""
        plain = read(text, "punctuation")
        self._values = all_values(text)
        self._dates = frozenset(date for date, _ in dates(plain))
        self._latin = frozenset(_LATIN.findall(plain))
        self._characters = normalize(text)

    def check(self, summary: str) -> Claims:
        """Compare a summary with the document."""
        found = numbers(summary)
        written = read(summary, "punctuation")
        said = dates(written)
        named = list(names(summary))
        return Claims(
            tuple(found),
            tuple(number for number in found if not self._values.issuperset(values(number))),
            tuple(text for _, text in said),
            tuple(text for date, text in said if not self._has_date(date)),
            tuple(named),
            tuple(name for name in named if not self._has_name(name)),
        )

    def _has_date(self, date: Date) -> bool:
        return any(all(part in {None, other} for part, other in zip(date, known, strict=True)) for known in self._dates)

    def _has_name(self, name: str) -> bool:
        return name in self._latin if _LATIN.fullmatch(name) else normalize(name) in self._characters


def dates(folded_text: str) -> list[tuple[Date, str]]:
    """Return the dates of a folded text, and how they are written: `"7月08日"` -> `((None, "7", "8"), "7月08日")`."""
    found: list[tuple[Date, str]] = []
    for match in _DATE.finditer(folded_text):
        year, month, day, *others = match.groups()
        year, month, day = (
            year or others[3],
            month or others[0] or others[5],
            day or others[1] or others[2] or others[6],
        )
        found.append(((_part(year), _part(month), _part(day)), match[0]))
    return found


def names(text: str) -> Iterator[str]:
    """Yield the names of a text, Latin words folded."""
    yield from _LATIN.findall(read(text, "punctuation"))
    for pair in _tagger().cut(text):
        if pair.flag in NAME_TAGS and len(pair.word) > 1 and not pair.word.isascii():
            yield pair.word


def _part(written: str | None) -> str | None:
    return None if written is None else values(written)[0]


@lru_cache(maxsize=1)
def _tagger() -> Any:
    import_jieba()
    with warnings.catch_warnings():
        # jieba 0.42.1 has invalid escapes in its patterns: no fault of whoever runs this.
        for category in (DeprecationWarning, SyntaxWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        posseg = import_module("jieba.posseg")
    # Not by its constructor, which would read the dictionary's tags once more; its own tokenizer would leave a file in
    # the shared temporary folder.
    tagger = object.__new__(posseg.POSTokenizer)
    tagger.tokenizer = tokenizer_with(*parse_default_dictionary())
    tagger.word_tag_tab = posseg.dt.word_tag_tab
    return tagger
