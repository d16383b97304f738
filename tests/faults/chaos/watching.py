"""Watches the jobs of a schedule's corpus: how far they are, and when they have ended. Changes nothing."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import select

from storage import jobs
from storage.engine import reading
from storage.errors import HanmillError
from storage.schema import corpora
from storage.schema import jobs as job_table
from tests.faults.chaos.arena import Arena
from tests.support.deployment import ENDED

#: Seconds between two looks.
LOOK_S = 0.03


class Watch:
    """What is known of a corpus's jobs; one thread looks, others ask."""

    def __init__(self, arena: Arena, corpus: str, least_jobs: int) -> None:
        self._arena = arena
        self._corpus = corpus
        self._least_jobs = least_jobs
        self.views: list[dict[str, Any]] = []
        #: The producer has given everything; before that no end is the end.
        self.is_all_given = False

    def look(self) -> None:
        """Look once; when the database is away, what was known stays."""
        mine = select(job_table.c.id).join(corpora).where(corpora.c.name == self._corpus).order_by(job_table.c.id)
        try:
            with reading(self._arena.deployment.parts.engine) as connection:
                self.views = jobs.views(connection, list(connection.scalars(mine)))
        except HanmillError:
            return

    @property
    def share(self) -> float:
        """How much of the first job is done."""
        if not self.views:
            return 0.0
        first = self.views[0]
        return 1.0 if first["state"] in ENDED else first["shards_done"] / max(1, first["shards"])

    @property
    def is_over(self) -> bool:
        """Say whether everything has ended."""
        ended = [view for view in self.views if view["state"] in ENDED]
        return self.is_all_given and len(ended) == len(self.views) >= self._least_jobs

    def until_share(self, share: float, patience_s: float) -> bool:
        """Wait until the first job has begun and is so far; False when everything ended before, or nothing came."""
        deadline = time.monotonic() + patience_s
        while not (self.views and self.share >= share):
            if self.is_over or time.monotonic() > deadline:
                return False
            time.sleep(LOOK_S / 2)
        return not self.is_over
