"""Cron lines in time zones, over the days on which the clocks are changed."""

from __future__ import annotations

from datetime import datetime
from itertools import islice, pairwise

import pytest

from storage.cron_times import (
    check_clock_time,
    check_cron,
    due_between,
    in_zone,
    next_after,
    next_clock_time,
    times_after,
)
from storage.errors import UsageError


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def next_times(cron: str, timezone: str, after: str, number: int) -> list[str]:
    return [in_zone(one, timezone) for one in islice(times_after(cron, timezone, instant(after)), number)]


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "expected"),
    [
        # The clocks go from 02:00 to 03:00.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00-05:00",
            ["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"],
        ),
        # Two times of one gap are one.
        (
            "0,30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00+01:00",
            ["2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"],
        ),
        # The hour from 02:00 to 03:00 comes twice.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00-04:00",
            ["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        # Asked within the second of the two hours.
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T02:10+01:00", ["2026-10-26T02:30:00+01:00"]),
        # A stretch of real time.
        (
            "30 * * * *",
            "Europe/Berlin",
            "2026-10-25T02:00+02:00",
            ["2026-10-25T02:30:00+02:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:30:00+01:00"],
        ),
        # Clocks that nobody changes.
        (
            "30 1 * * *",
            "Asia/Shanghai",
            "2026-03-28T23:00+08:00",
            ["2026-03-29T01:30:00+08:00", "2026-03-30T01:30:00+08:00"],
        ),
        ("0 6 * * MON", "UTC", "2026-11-21T12:00+00:00", ["2026-11-23T06:00:00+00:00"]),
    ],
)
def test_a_line_is_due_once_a_day_however_the_clocks_are_changed(
    cron: str, timezone: str, after: str, expected: list[str]
) -> None:
    assert next_times(cron, timezone, after, len(expected)) == expected


@pytest.mark.parametrize("timezone", ["Europe/Berlin", "America/New_York", "Asia/Shanghai"])
def test_over_a_year_a_nightly_line_is_due_once_every_day(timezone: str) -> None:
    first = instant("2026-01-01T00:00+00:00")
    due = list(islice(times_after("30 2 * * *", timezone, first), 365))
    assert len({in_zone(one, timezone)[:10] for one in due}) == 365
    assert all(22 * 3600 < later - earlier < 26 * 3600 for earlier, later in pairwise(due))


@pytest.mark.parametrize("step_s", [977, 3600])
def test_asked_at_any_moment_the_next_time_is_later_and_the_same_for_all(step_s: int) -> None:
    start, end = instant("2026-10-24T00:00+02:00"), instant("2026-10-27T00:00+01:00")
    due = due_between("30 2 * * *", "Europe/Berlin", start, end, 100)
    assert len(due) == 3
    for moment in range(int(start), int(due[-1]), step_s):
        expected = min(one for one in due if one > moment)
        assert next_after("30 2 * * *", "Europe/Berlin", float(moment)) == expected


def test_both_ends_belong_to_a_stretch_of_time() -> None:
    first, last = instant("2026-11-01T01:30+08:00"), instant("2026-11-03T01:30+08:00")
    assert due_between("30 1 * * *", "Asia/Shanghai", first, last, 9) == [first, first + 86400, last]
    assert due_between("30 1 * * *", "Asia/Shanghai", first, last, 2) == [first, first + 86400]
    assert due_between("30 1 * * *", "Asia/Shanghai", last + 1, first, 9) == []


def test_a_time_of_the_day_is_the_next_such_time_in_the_zone() -> None:
    fired = instant("2026-03-29T01:30+01:00")
    assert in_zone(next_clock_time("06:00", "Europe/Berlin", fired), "Europe/Berlin") == "2026-03-29T06:00:00+02:00"
    assert in_zone(next_clock_time("01:00", "Europe/Berlin", fired), "Europe/Berlin") == "2026-03-30T01:00:00+02:00"


@pytest.mark.parametrize(
    ("cron", "timezone", "fault"),
    [
        ("30 1 * *", "UTC", "has not five fields"),
        ("0 30 1 * * *", "UTC", "has not five fields"),
        ("61 1 * * *", "UTC", "Bad minute"),
        ("0 0 30 2 *", "UTC", "Bad day-of-month"),
        ("每天", "UTC", "has not five fields"),
        ("30 1 * * *", "Asia/Peking", "is no time zone"),
        ("30 1 * * *", "../etc", "is no time zone"),
        ("30 1 * * *", "Asia", "is no time zone"),
    ],
)
def test_what_is_wrong_with_a_line_is_said(cron: str, timezone: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        check_cron(cron, timezone)


@pytest.mark.parametrize("text", ["24:00", "6:00", "06:60", "六点", ""])
def test_a_time_of_the_day_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no time of the day"):
        check_clock_time(text)
