"""Lets work go: publishes messages for due shards, a window a job, and moves jobs on. The ledger decides what is due.

A message that cannot be published is no loss: its shard goes back to PENDING and the reconciler comes by again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from storage import fault_points, job_ledger, jobs, ledger
from storage.completion import advance_job
from storage.engine import reading, transact
from storage.errors import TransientError
from storage.progress import standing_of
from storage.states import ACTIVE_JOB_STATES
from tasks.operation import get_operation

if TYPE_CHECKING:
    from workers.bootstrap import Parts

logger = logging.getLogger(__name__)

#: A window is filled again when no more than this share of it still waits: many messages at once cost little more
#: than one.
REFILL_SHARE = 0.75


class Publisher(Protocol):
    """Puts messages into the queue; the only thing that dispatch wants of Celery."""

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Publish a message for every shard; raises `TransientError` when the broker is away."""
        ...


def dispatch_job(parts: Parts, publisher: Publisher, job_id: int) -> int:
    """Move a job on if it can be, and fill its window; return how many messages went out.

    Called after every shard, it mostly looks once and does nothing: the counters say whether there is anything to do.
    """
    with reading(parts.engine) as connection:
        job = standing_of(connection, job_id)
    if job.state not in ACTIVE_JOB_STATES:
        return 0
    window = parts.settings.window
    if not job.pending + job.queued + job.leased:
        return _dispatch(parts, publisher, job_id, job.operation)
    if job.pending and job.queued <= window * REFILL_SHARE:
        return _fill(parts, publisher, job_id, job.operation)
    return 0


def _dispatch(parts: Parts, publisher: Publisher, job_id: int, operation: str) -> int:
    """Do what can be done for a job by what its shards themselves say; the counters are not believed."""
    merges = get_operation(operation).merges
    if transact(parts.engine, lambda connection: advance_job(connection, job_id, merges=merges)):
        fault_points.reach("job.ended")
        logger.info("job.advanced", extra={"job": job_id})
    return _fill(parts, publisher, job_id, operation)


def _fill(parts: Parts, publisher: Publisher, job_id: int, operation: str) -> int:
    """Put due shards into the queue, as many as the window has room for."""
    due = transact(parts.engine, lambda connection: ledger.queue_due(connection, job_id, parts.settings.window))
    if not due:
        return 0
    fault_points.reach("dispatch.queued")
    try:
        publisher.publish_shards(get_operation(operation).queue, due, job_id)
    except TransientError as error:
        logger.warning("dispatch.failed", extra={"job": job_id, "error": str(error)})
        transact(parts.engine, lambda connection: ledger.unqueue(connection, due))
        return 0
    fault_points.reach("dispatch.published")
    return len(due)


def dispatch_all(parts: Parts, publisher: Publisher) -> int:
    """Dispatch every job that runs, higher priorities first; return how many messages went out."""
    with reading(parts.engine) as connection:
        active = job_ledger.active_jobs(connection)
        operations = {job_id: jobs.get(connection, job_id).operation for job_id in active}
    return sum(_dispatch(parts, publisher, job_id, operations[job_id]) for job_id in active)
