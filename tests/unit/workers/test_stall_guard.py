"""The guard in a process that has the pool's handler, as one of a pool has, and in one that has not.

That processes are ended which cannot be interrupted: `tests/faults/test_poison.py`.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from itertools import count

import pytest
from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import soft_timeout_sighandler

from workers.stall_guard import StalledError, StallGuard, in_pool

#: Far longer than a test, in seconds.
NEVER_S = 3600.0


@pytest.fixture
def pool() -> Iterator[None]:
    """Have this process look like one of a pool."""
    before = signal.signal(signal.SIGUSR1, soft_timeout_sighandler)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.usefixtures("pool")
def test_work_that_does_not_go_on_is_interrupted_even_where_it_waits() -> None:
    told = r"no document was finished for 1 s \(HANMILL_STALL_LIMIT_S\)"
    with pytest.raises(StalledError, match=told), StallGuard(1.0, NEVER_S, lambda: 0):
        threading.Event().wait(60)


@pytest.mark.usefixtures("pool")
def test_work_that_goes_on_is_left_alone_however_long_it_takes() -> None:
    looks = count()
    enough = threading.Event()

    def progress() -> int:
        seen = next(looks)
        if seen > 20:
            enough.set()
        return seen

    # Looked at eight times in a limit: twenty looks are more than two limits.
    with StallGuard(0.2, NEVER_S, progress):
        assert enough.wait(60)


@pytest.mark.usefixtures("pool")
def test_an_error_of_the_work_and_the_limit_of_the_whole_task_are_handed_on_as_they_are() -> None:
    for error in (ValueError("毒"), SoftTimeLimitExceeded()):
        with pytest.raises(type(error)), StallGuard(NEVER_S, NEVER_S, lambda: 0):
            raise error


def test_outside_of_a_pool_nothing_is_watched() -> None:
    assert not in_pool()
    before = threading.active_count()
    with StallGuard(0.001, 0.001, lambda: 0):
        assert threading.active_count() == before
