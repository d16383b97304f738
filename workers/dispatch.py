"""Lets work go: publishes messages for due shards, a window a job, and moves jobs on. The ledger decides what is due.

A message that cannot be published is no loss: its shard goes back to PENDING and the reconciler comes by again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from storage import job_ledger, jobs, ledger
from storage.completion import advance_job
from storage.engine import reading, transact
from storage.errors import TransientError
from storage.states import ACTIVE_JOB_STATES
from tasks.operation import get_operation

if TYPE_CHECKING:
    from storage.engine import Engine
    from workers.bootstrap import Parts

logger = logging.getLogger(__name__)


class Publisher(Protocol):
    """Puts messages into the queue; the only thing that dispatch wants of Celery."""

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Publish a message for every shard; raises `TransientError` when the broker is away."""
        ...


def dispatch_job(parts: Parts, publisher: Publisher, job_id: int) -> int:
    """Move a job on if it can be, and fill its window; return how many messages went out."""
    job = _advance(parts.engine, job_id)
    if job is None:
        return 0
    due = transact(parts.engine, lambda connection: ledger.queue_due(connection, job_id, parts.settings.window))
    if not due:
        return 0
    try:
        publisher.publish_shards(get_operation(job).queue, due, job_id)
    except TransientError as error:
        logger.warning("dispatch.failed", extra={"job": job_id, "error": str(error)})
        transact(parts.engine, lambda connection: ledger.unqueue(connection, due))
        return 0
    return len(due)


def _advance(engine: Engine, job_id: int) -> str | None:
    """Return the operation of a job that runs, moved on as far as it goes; None when it does not run."""
    with reading(engine) as connection:
        job = jobs.get(connection, job_id)
    if job.state not in ACTIVE_JOB_STATES:
        return None
    merges = get_operation(job.operation).merges
    if transact(engine, lambda connection: advance_job(connection, job_id, merges=merges)):
        logger.info("job.advanced", extra={"job": job_id})
    return str(job.operation)


def dispatch_all(parts: Parts, publisher: Publisher) -> int:
    """Dispatch every job that runs, higher priorities first; return how many messages went out."""
    with reading(parts.engine) as connection:
        ids = job_ledger.active_jobs(connection)
    return sum(dispatch_job(parts, publisher, job_id) for job_id in ids)
