"""Waits for the end of jobs that others work on, and shows them meanwhile. Moves nothing on itself."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from storage import jobs
from storage.engine import Engine, reading
from storage.errors import TransientError
from storage.inspection import states_of
from storage.states import OPEN_JOB_STATES

logger = logging.getLogger(__name__)

#: Seconds between two looks.
POLL_S = 0.5
#: A display may cost at most one part in so many of the time.
DISPLAY_SHARE = 10


class Display(Protocol):
    """What is told of jobs while they go on."""

    #: False when nobody looks; then no figures are asked for.
    wants_figures: bool

    def tell(self, sentence: str) -> None:
        """Take one sentence for the user."""
        ...

    def update(self, views: Sequence[Mapping[str, Any]]) -> None:
        """Take the jobs as they stand now."""
        ...


class Watch:
    """Some jobs, looked at from time to time."""

    def __init__(self, engine: Engine, job_ids: Sequence[int], display: Display) -> None:
        self._engine = engine
        self._job_ids = list(job_ids)
        self._display = display
        self._told: dict[int, str] = {}
        self._show_at = 0.0
        self._troubles: set[str] = set()

    def look(self) -> bool:
        """Show the jobs and say whether one of them still goes on; a database that is away says so too."""
        try:
            with reading(self._engine) as connection:
                states = states_of(connection, self._job_ids)
            self._show()
        except TransientError as error:
            # The database may come back; nothing is lost meanwhile.
            logger.warning("watch.database_away", extra={"error": str(error)})
            self.tell_trouble(error)
            return True
        self._tell_pauses(states)
        return any(state in OPEN_JOB_STATES for state in states.values())

    def tell_trouble(self, error: TransientError) -> None:
        """Tell the user, once, what is waited for."""
        if str(error) not in self._troubles:
            self._troubles.add(str(error))
            self._display.tell(f"waiting: {error}")

    def _show(self) -> None:
        started_at = time.monotonic()
        if not self._display.wants_figures or started_at < self._show_at:
            return
        with reading(self._engine) as connection:
            views = jobs.views(connection, self._job_ids)
        self._display.update(views)
        # A database that is busy answers slowly; the work must not wait for the picture of it.
        ended_at = time.monotonic()
        self._show_at = ended_at + (ended_at - started_at) * DISPLAY_SHARE

    def _tell_pauses(self, states: Mapping[int, str]) -> None:
        for job_id, state in states.items():
            if state == "PAUSED" and self._told.get(job_id) != state:
                self._display.tell(f"job {job_id} is paused; `hanmill resume {job_id}` lets it go on")
            self._told[job_id] = state


def wait_for_end(engine: Engine, job_ids: Sequence[int], display: Display) -> None:
    """Return when every job has ended."""
    watch = Watch(engine, job_ids, display)
    while watch.look():
        time.sleep(POLL_S)
