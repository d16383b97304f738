"""Moves a job on when its last shard has ended: to its merge, or to its end. Whoever comes second finds it done."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from storage import equation, job_ledger, progress, repeats
from storage.documents import count_shadowed
from storage.engine import AnyRow
from storage.partial_counts import done_shards
from storage.schema import jobs, shards
from storage.states import JobState, ShardState
from storage.word_counts import find_published, make_generation, publish

logger = logging.getLogger(__name__)


def advance_job(connection: Connection, job_id: int, *, merges: bool) -> bool:
    """Move a job on if it can be; True when it moved. `merges` says whether its operation has a merge."""
    job = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if job is None:
        return False
    if job.state == JobState.MERGING:
        return _end_merging(connection, job)
    if job.state != JobState.RUNNING:
        return False
    if not merges:
        return _end_documents(connection, job)
    if not job_ledger.begin_merging(connection, job_id):
        return False
    # Read again: it may have been planned anew, in another number of partitions, before it was ours.
    _start_merging(connection, connection.execute(select(jobs).where(jobs.c.id == job_id)).one())
    return True


def _end_documents(connection: Connection, job: AnyRow) -> bool:
    if connection.scalar(select(job_ledger.unfinished(job.id))) or job.sealed_at is None:
        return False
    below = None if job.below_position is None else (job.below_position, job.below_document)
    identical, replaced = count_shadowed(connection, job.corpus_id, below, job.id)
    return _end(connection, job.id, JobState.RUNNING, {"identical": identical, "replaced": replaced})


def _start_merging(connection: Connection, job: AnyRow) -> None:
    digest = _digest_of_sum(connection, job.id)
    known = find_published(connection, job.corpus_id, job.fingerprint, digest)
    if known is not None:
        # The very same shards were summed before; summing them again would write the same rows.
        publish(connection, known, job.id)
        _end(connection, job.id, JobState.MERGING, {"generation_id": known, **_left_out(connection, job)})
        return
    generation_id = make_generation(connection, job.corpus_id, job.fingerprint, job.id, digest)
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(generation_id=generation_id))
    connection.execute(delete(shards).where(shards.c.job_id == job.id, shards.c.kind == "merge"))
    rows = [
        {"job_id": job.id, "kind": "merge", "state": ShardState.PENDING, "partition": partition}
        for partition in range(job.partitions)
    ]
    connection.execute(insert(shards), rows)


def _digest_of_sum(connection: Connection, job_id: int) -> bytes:
    """Return what names a sum: the contents that are in it, each as often as it is."""
    digest = hashlib.sha256()
    for content in sorted(shard.digest for shard in done_shards(connection, job_id)):
        digest.update(content)
    return digest.digest()


def _end_merging(connection: Connection, job: AnyRow) -> bool:
    if not _end(connection, job.id, JobState.MERGING, _left_out(connection, job)):
        return False
    publish(connection, job.generation_id, job.id)
    return True


def _left_out(connection: Connection, job: AnyRow) -> dict[str, int]:
    """Return how many records of a job are identical to another, as far as it leaves those out."""
    return {"identical": repeats.count_left_out(connection, job)} if repeats.mode_of(job) else {}


def _end(connection: Connection, job_id: int, before: JobState, values: dict[str, Any]) -> bool:
    """End a job whose shards have all ended, count them once more, and hold the sums against what stands in SQL."""
    if not job_ledger.end_job(connection, job_id, before, values):
        return False
    for fault in progress.settle(connection, job_id):
        logger.error("progress.repaired", extra={"job": job_id, "fault": fault})
    faults = equation.faults(connection, connection.execute(select(jobs).where(jobs.c.id == job_id)).one())
    if faults:
        job_ledger.note_reason(connection, job_id, f"its figures do not add up: {'; '.join(faults)}")
        logger.error("job.figures_differ", extra={"job": job_id, "faults": faults})
    return True
