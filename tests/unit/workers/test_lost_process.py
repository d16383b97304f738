"""How the end of a process is told."""

from __future__ import annotations

import pytest
from billiard.exceptions import TimeLimitExceeded, WorkerLostError

from workers.lost_process import describe
from workers.stall_guard import EXIT_STALLED


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("signal 9 (SIGKILL) Job: 7.", "its process ended by SIGKILL: the kernel sends it when memory runs out"),
        ("signal 11 (SIGSEGV) Job: 7.", "its process ended by SIGSEGV: a library read memory that is not there"),
        ("signal 10 (SIGUSR1).", "its process ended by SIGUSR1"),
        ("signal 199 Job: 7.", "its process ended by signal 199"),
        ("exitcode 1 Job: 7.", "its process ended with status 1: C code let no Python run"),
        (f"exitcode {EXIT_STALLED} Job: 7.", f"its process ended with status {EXIT_STALLED}: no document was finished"),
        ("exitcode 70 Job: 7.", "its process ended with status 70"),
        ("nobody knows.", "its process ended"),
    ],
)
def test_the_end_of_a_process_is_told_with_what_it_means(said: str, told: str) -> None:
    assert describe(WorkerLostError(f"Worker exited prematurely: {said}")).startswith(told)


def test_a_time_limit_is_told_with_its_seconds_and_its_setting() -> None:
    assert describe(TimeLimitExceeded(23400.0)) == (
        "its process was ended: it ran for longer than 23,400 s (HANMILL_HARD_TIME_LIMIT_S)"
    )
