from __future__ import annotations

from typing import Any

import pytest

from workers.cli.progress import Rate, SentenceDisplay, figures_line, progress_display

VIEW: dict[str, Any] = {
    "state": "RUNNING",
    "documents": 1200,
    "bytes": 10 * 1024**2,
    "bytes_done": 4 * 1024**2,
    "failures": 0,
    "dead": 0,
}


def test_the_line_has_documents_size_rate_and_time_left() -> None:
    line = figures_line(VIEW, 0.5 * 1024**2)
    assert line == "1,200 documents · 4.0 MB of 10.0 MB · 512.0 KB/s · 0:12 left"


def test_what_went_wrong_stands_in_the_line() -> None:
    assert figures_line({**VIEW, "failures": 2, "dead": 3}, 0).endswith("2 failures · 3 dead")


@pytest.mark.parametrize(("state", "shown"), [("MERGING", "summing"), ("PAUSED", "paused"), ("PLANNING", "planning")])
def test_a_job_that_does_not_read_says_what_it_does(state: str, shown: str) -> None:
    assert shown in figures_line({**VIEW, "state": state}, 1000)


def test_the_rate_does_not_count_what_was_known_before() -> None:
    rate = Rate(bytes_done=1000, now_s=10.0)
    assert rate.per_second(1000, 10.0) == 0
    assert rate.per_second(3000, 12.0) == 1000


def test_in_a_pipe_there_are_sentences_and_no_bars(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_display() as display:
        assert isinstance(display, SentenceDisplay)
        display.tell("job 1 is paused")
        display.update([VIEW])
    assert capsys.readouterr() == ("", "job 1 is paused\n")
