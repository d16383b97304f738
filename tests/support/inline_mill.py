"""A mill without servers: shards are run in this process as soon as they are published. For tests of what is left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from storage.migrate import upgrade
from storage.sources import ListingOptions
from workers.bootstrap import Parts, build_parts
from workers.dispatch import dispatch_job
from workers.run_shard import run_shard
from workers.settings import Settings
from workers.submit import Order, Submitted, submit


class InlineMill:
    """A publisher that keeps its messages, and the worker that takes them."""

    def __init__(self, home: Path, database_url: str = "", **settings: Any) -> None:
        """Open a home, or a database, and bring it to the schema."""
        made = Settings(home=home, database_url=database_url, broker_url="redis://127.0.0.1:1/0", **settings)
        self.parts: Parts = build_parts(made)
        upgrade(self.parts.engine)
        self.messages: list[tuple[int, int]] = []

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Take messages, as the queue would."""
        self.messages += [(shard_id, job_id) for shard_id in shard_ids]

    def submit(self, inputs: Sequence[Path | str], corpus: str, *operations: str, **order: Any) -> Submitted:
        """Submit an order; nothing runs yet."""
        values: dict[str, Any] = {"options": {}, "listing": ListingOptions(), **order}
        names = [str(path) for path in inputs]
        return submit(self.parts, self, Order(corpus=corpus, inputs=names, operations=operations, **values))

    def work(self, *job_ids: int) -> None:
        """Dispatch some jobs and run until no message is left."""
        for job_id in job_ids:
            dispatch_job(self.parts, self, job_id)
        while self.messages:
            shard_id, job_id = self.messages.pop(0)
            ends = run_shard(self.parts, shard_id, "inline@test/1/1")
            for touched in {end.held.job_id for end in ends} or {job_id}:
                dispatch_job(self.parts, self, touched)

    def run(self, inputs: Sequence[Path | str], corpus: str, *operations: str, **order: Any) -> list[int]:
        """Submit an order, do it, and return the ids of its jobs."""
        submitted = self.submit(inputs, corpus, *operations, **order)
        self.work()
        return [job.id for job in submitted.jobs]
