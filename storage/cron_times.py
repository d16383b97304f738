"""When something is due: cron lines of five fields in a time zone. Knows no schedule and reads no clock.

A day on which the clocks are changed is treated as Debian's cron treats it. Where minute and hour are fixed (neither
field begins with `*`), every time comes once: one that does not exist, because the clocks were set forward over it,
comes at the first minute after the gap, and one that exists twice comes the first time only. Lines such as
`*/10 * * * *` mean stretches of real time: they skip what does not exist, and come in both of what exists twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from storage.errors import UsageError

#: Fields of a cron line: minute, hour, day of the month, month, day of the week.
FIELDS = 5
_CLOCK_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


@lru_cache
def zone(name: str) -> ZoneInfo:
    """Return a time zone by the IANA's name; raises `UsageError` when there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        message = f"--tz {name!r} is no time zone; write for example Asia/Shanghai, Europe/Berlin or UTC"
        raise UsageError(message) from error


def check_cron(cron: str, timezone: str) -> None:
    """Raise `UsageError` for a cron line that is none, or that is never due."""
    if next_after(cron, timezone, 0.0) is None:
        message = f"--cron {cron!r} is never due; look at its day of the month and its month"
        raise UsageError(message)


def next_after(cron: str, timezone: str, instant: float) -> float | None:
    """Return the first time after an instant at which a line is due, in seconds since 1970; None when it never is."""
    return next(times_after(cron, timezone, instant), None)


def times_after(cron: str, timezone: str, instant: float) -> Iterator[float]:
    """Yield the times after an instant at which a line is due, in their order and each once.

    Raises `UsageError` for a line that cannot be read.
    """
    # Seconds, the sixth field that the library takes, would be promises that a pass every few seconds cannot keep.
    if len(cron.split()) != FIELDS:
        message = f"--cron {cron!r} has not five fields; write minute, hour, day, month and weekday, as in '30 1 * * *'"
        raise UsageError(message)
    try:
        found = CronSim(cron, datetime.fromtimestamp(instant, UTC).astimezone(zone(timezone)))
    except CronSimError as error:
        message = f"--cron {cron!r}: {error}; write minute, hour, day, month and weekday, as in '30 1 * * *'"
        raise UsageError(message) from error
    last = instant
    for moment in found:
        # Seen from the second of two equal hours, the library goes on from the first; and two times that fall into
        # one gap both come at its end.
        if moment.timestamp() > last:
            last = moment.timestamp()
            yield last


def due_between(cron: str, timezone: str, first: float, last: float, most: int) -> list[float]:
    """Return the times at which a line was due, from one instant to another, both included; `most` of them at most."""
    found: list[float] = []
    # From just before: what is due at `first` itself belongs to it.
    for instant in islice(times_after(cron, timezone, first - 1.0), most):
        if instant > last:
            break
        if instant >= first:
            found.append(instant)
    return found


def check_clock_time(text: str) -> str:
    """Return a time of the day, `06:00`; raises `UsageError` for anything else."""
    if not _CLOCK_TIME.fullmatch(text):
        message = f"--finish-by {text!r} is no time of the day; write HH:MM, such as 06:00"
        raise UsageError(message)
    return text


def next_clock_time(text: str, timezone: str, instant: float) -> float:
    """Return the next time after an instant at which the clocks of a zone show `06:00`."""
    hour, minute = text.split(":")
    return next(times_after(f"{int(minute)} {int(hour)} * * *", timezone, instant))


def in_zone(instant: float, timezone: str) -> str:
    """Return an instant as ISO 8601 with the offset that a zone has then: `2026-11-21T01:30:00+08:00`."""
    return datetime.fromtimestamp(instant, zone(timezone)).isoformat(timespec="seconds")
