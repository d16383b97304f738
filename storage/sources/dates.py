"""From the value of a record's date field to the month that it names. What is not understood is no date, and no fault.

Understood are dates and date-times as ISO 8601 writes them, 2024-07-08, 2024/7/8, 2024.7.8, 20240708, 2024-07,
2024年7月8日, and Unix times in seconds or finer. A month is that of the date as it is written, whatever its offset from
UTC; that of a Unix time is UTC's.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache

#: The month of a document without a date.
UNDATED = 0
#: Longer texts are no dates.
MAX_DATE_CHARS = 64
#: Earlier Unix times (before March 1973) are not believed: such a number is a year, or counts something else.
_FIRST_UNIX_S = 10**8
#: Larger numbers count milliseconds, microseconds or nanoseconds; and what is larger still, nothing that is known.
_LAST_UNIX_S, _LAST_UNIX_NS = 10**11, 10**20

_WRITTEN = re.compile(
    r"(\d{4})\s?[-/.年]\s?(\d{1,2})(?:\s?[-/.月]\s?(\d{1,2}))?(?:\s?[月日号]|[\sTtZ+].*|$)", re.DOTALL
)
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?:\d{6})?(?:[\sTt].*|$)", re.DOTALL)
_UNIX = re.compile(r"\d{9,20}(?:\.\d*)?")


def month_of(value: object) -> int:
    """Return the month of a date field's value, 202407 for July 2024; `UNDATED` for what names none."""
    if isinstance(value, str):
        return _month_of_text(value) if len(value) <= MAX_DATE_CHARS else UNDATED
    if isinstance(value, int | float) and not isinstance(value, bool):
        # 20240708 as a number is a date too, which as a Unix time nobody means; some tables can only say 20240708.0.
        return _month_of_compact(str(value).removesuffix(".0")) or _month_of_unix(value)
    return UNDATED


@lru_cache(maxsize=4096)
def _month_of_text(text: str) -> int:
    text = text.strip()
    written = _WRITTEN.match(text)
    if written:
        return _month(*written.groups())
    return _month_of_compact(text) or (_month_of_unix(float(text)) if _UNIX.fullmatch(text) else UNDATED)


def _month_of_compact(text: str) -> int:
    compact = _COMPACT.match(text)
    return _month(*compact.groups()) if compact else UNDATED


def _month(year: str, month: str, day: str | None) -> int:
    try:
        found = date(int(year), int(month), int(day or 1))
    except ValueError:
        return UNDATED
    return as_month(found.year, found.month)


def as_month(year: int, month: int) -> int:
    """Return a month as one number, 202407 for July 2024."""
    return year * 100 + month


def _month_of_unix(number: float) -> int:
    # Not so for a number that is none, NaN.
    if not _FIRST_UNIX_S <= number < _LAST_UNIX_NS:
        return UNDATED
    while number >= _LAST_UNIX_S:
        number /= 1000
    found = datetime.fromtimestamp(number, UTC)
    return as_month(found.year, found.month)
