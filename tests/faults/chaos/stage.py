"""What a fault of a schedule can reach, what proves that it struck, and how to wait for it. Strikes nothing itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.chaos.arena import Arena
from tests.faults.chaos.schedule import Schedule
from tests.faults.chaos.watching import Watch

#: Seconds after which a victim, or a point that is to be reached, counts as not coming.
PATIENCE_S = 45.0
#: Seconds between two looks.
LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Struck:
    """A fault that did strike."""

    kind: str
    #: By the clock of this machine, in seconds since 1970; every process of an arena runs on it.
    at: float
    #: What proves it.
    proof: str


@dataclass(frozen=True, slots=True)
class Stage:
    """What a fault can reach."""

    arena: Arena
    schedule: Schedule
    watch: Watch
    #: Set when the schedule is over, whatever its faults wait for.
    over: threading.Event

    def wait(self, condition: Callable[[], bool], patience_s: float = PATIENCE_S) -> bool:
        """Wait for a condition; False when it does not come in time, or the schedule is over before."""
        deadline = time.monotonic() + patience_s
        while not condition():
            if self.over.is_set() or time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S)
        return True

    def hold(self, length_s: float) -> None:
        """Wait for so long; the end of the schedule ends it too, for nothing is shown by a longer one."""
        self.over.wait(length_s)
