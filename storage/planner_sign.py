"""Says, from a thread of its own, that a job's planner is alive: cutting one large file may take many minutes.

When the planner is killed the signs end with it, and soon somebody else plans the job.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine

from storage import job_ledger
from storage.engine import transact
from storage.errors import TransientError

#: Signs in the time after which a silent planner is taken for dead: two may fail before.
SIGNS_PER_SILENCE = 4


class PlannerSign:
    """A context in which a planner counts as alive."""

    def __init__(self, engine: Engine, job_id: int, planner: str) -> None:
        self._engine, self._job_id, self._planner = engine, job_id, planner
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="planner sign", daemon=True)

    def __enter__(self) -> Self:
        """Begin to give signs."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Give no more signs."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(job_ledger.PLANNER_SILENCE_S / SIGNS_PER_SILENCE):
            try:
                if not transact(self._engine, self._give):
                    return
            except TransientError:
                # The next sign may come through; if none does, somebody else plans, and this planner finds out.
                continue

    def _give(self, connection: Connection) -> bool:
        return job_ledger.plans(connection, self._job_id, self._planner)
