"""A part is read at most once in a while, never waited for too long, and away for one scrape at a time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from storage.errors import TransientError
from workers.exporter.reading import Part


class Source:
    """Something to be read that a test can hold up and break."""

    def __init__(self) -> None:
        self.asked = 0
        self.error: Exception | None = None
        self.is_open = threading.Event()
        self.is_open.set()

    def read(self) -> int:
        self.asked += 1
        self.is_open.wait()
        if self.error is not None:
            raise self.error
        return self.asked


@pytest.fixture
def source() -> Iterator[Source]:
    made = Source()
    yield made
    # The thread that waits, if one does, may end.
    made.is_open.set()


def part(source: Source, **options: Any) -> Part[int]:
    return Part("ledger", source.read, **{"cache_s": 0.0, "patience_s": 30.0, **options})


def test_what_was_read_a_moment_ago_is_not_read_again(source: Source) -> None:
    kept = part(source, cache_s=3600.0)
    assert [kept.figures(), kept.figures()] == [1, 1]


def test_what_was_read_long_ago_is_read_anew(source: Source) -> None:
    fresh = part(source)
    assert [fresh.figures(), fresh.figures()] == [1, 2]


def test_a_part_that_does_not_answer_is_away_and_is_not_asked_twice(source: Source) -> None:
    source.is_open.clear()
    slow = part(source, patience_s=0.0)
    assert [slow.figures(), slow.figures()] == [None, None]
    assert source.asked == 1
    assert slow.took_s > 0


def test_a_part_that_answers_late_is_there_for_the_next_scrape(
    source: Source, until: Callable[[Callable[[], bool], str], None]
) -> None:
    source.is_open.clear()
    slow = part(source, patience_s=0.0, cache_s=3600.0)
    assert slow.figures() is None
    source.is_open.set()
    until(lambda: slow.figures() == 1, "the late answer is shown")


def test_going_away_and_coming_back_are_told_once_each(source: Source, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    watched = part(source)
    source.error = TransientError("the database did not answer")
    assert [watched.figures(), watched.figures()] == [None, None]
    source.error = None
    assert [watched.figures(), watched.figures()] == [3, 4]
    assert [record.getMessage() for record in caplog.records] == ["exporter.part_away", "exporter.part_back"]


def test_a_bug_is_told_with_its_traceback_and_breaks_no_scrape(
    source: Source, caplog: pytest.LogCaptureFixture
) -> None:
    source.error = ZeroDivisionError("division by zero")
    assert part(source).figures() is None
    assert [record.getMessage() for record in caplog.records if record.exc_info] == ["exporter.reading_failed"]


def test_two_scrapes_at_once_ask_once(source: Source) -> None:
    source.is_open.clear()
    shared = part(source, cache_s=3600.0)
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda: found.append(shared.figures())) for _ in range(4)]
    for thread in threads:
        thread.start()
    source.is_open.set()
    for thread in threads:
        thread.join()
    assert found == [1, 1, 1, 1]
