"""Jobs as rows: made, found, and shown with their figures. Their states change in `ledger.py` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.sql import func

from storage import job_views
from storage.asking import ConnectionAsker
from storage.engine import AnyRow, now
from storage.errors import UsageError
from storage.schema import corpora, jobs
from storage.states import COMPLETE_JOB_STATES, OPEN_JOB_STATES, JobState


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a job is made of."""

    corpus_id: int
    operation: str
    parameters: Mapping[str, Any]
    fingerprint: str
    priority: int = 0
    #: Seconds for which the job stays open to enqueued documents; None for a job that is planned at once.
    open_s: float | None = None


def make_job(connection: Connection, new: NewJob) -> int:
    """Write a job's row and return its id."""
    values = {
        "corpus_id": new.corpus_id,
        "operation": new.operation,
        "parameters": json.dumps(new.parameters, sort_keys=True, ensure_ascii=False),
        "fingerprint": new.fingerprint,
        "state": JobState.PLANNING,
        "priority": new.priority,
        "created_at": now(),
        "seal_at": None if new.open_s is None else now() + new.open_s,
    }
    (job_id,) = connection.execute(insert(jobs).values(**values)).inserted_primary_key or (0,)
    return int(job_id)


def find_unfinished(connection: Connection, corpus_id: int, operation: str, fingerprint: str) -> int | None:
    """Return the newest job of the same corpus, operation and fingerprint that has not ended."""
    statement = select(func.max(jobs.c.id)).where(
        jobs.c.corpus_id == corpus_id,
        jobs.c.operation == operation,
        jobs.c.fingerprint == fingerprint,
        jobs.c.state.in_(OPEN_JOB_STATES),
    )
    found: int | None = connection.scalar(statement)
    return found


def find_open(connection: Connection, corpus_id: int, operation: str, fingerprint: str) -> int | None:
    """Return the job that takes enqueued documents just now."""
    statement = select(func.max(jobs.c.id)).where(
        jobs.c.corpus_id == corpus_id,
        jobs.c.operation == operation,
        jobs.c.fingerprint == fingerprint,
        jobs.c.state == JobState.PLANNING,
        jobs.c.seal_at > now(),
    )
    found: int | None = connection.scalar(statement)
    return found


def get(connection: Connection, job_id: int) -> AnyRow:
    """Return a job's row with its corpus's name; raises `UsageError` when there is no such job."""
    statement = select(jobs, corpora.c.name.label("corpus")).join(corpora).where(jobs.c.id == job_id)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise UsageError(job_views.no_such_job(job_id))
    return row


def parameters(job: AnyRow) -> dict[str, Any]:
    """Return what a job's operation was asked to do."""
    return dict(json.loads(job.parameters))


def newest_complete(
    connection: Connection, corpus_id: int, operation: str, fingerprint: str | None = None
) -> AnyRow | None:
    """Return the newest finished job of an operation over a corpus; a fingerprint may be named by its first digits."""
    statement = (
        select(jobs)
        .where(jobs.c.corpus_id == corpus_id, jobs.c.operation == operation, jobs.c.state.in_(COMPLETE_JOB_STATES))
        .order_by(jobs.c.finished_at.desc(), jobs.c.id.desc())
        .limit(1)
    )
    if fingerprint is not None:
        statement = statement.where(jobs.c.fingerprint.startswith(fingerprint, autoescape=True))
    return connection.execute(statement).one_or_none()


def figures(connection: Connection, job_id: int) -> dict[str, int]:
    """Return a job's figures, each a sum over its shards; SPLIT shards count in none of them."""
    return job_views.figures(job_views.sums_of(ConnectionAsker(connection), [job_id])[job_id])


def shard_states(connection: Connection, job_id: int) -> dict[str, int]:
    """Return how many shards of a job stand in each state."""
    return job_views.shards_by_state(ConnectionAsker(connection), [job_id])


def view(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return everything that is shown of a job; the shape that `run --format json` prints is a part of it.

    Raises `UsageError` when there is no such job.
    """
    return views(connection, [job_id])[0]


def views(connection: Connection, job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is shown of each of some jobs, in the order that was asked for; large jobs cost no more than small.

    Raises `UsageError` when one is not there.
    """
    return job_views.views(ConnectionAsker(connection), job_ids)


def list_ids(connection: Connection, *, unfinished: bool = False, corpus_id: int | None = None) -> list[int]:
    """Return the ids of jobs, the newest first."""
    return job_views.list_ids(ConnectionAsker(connection), unfinished=unfinished, corpus_id=corpus_id)
