"""Jobs as rows: made, found, and shown with their figures. Their states change in `ledger.py` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, insert, or_, select
from sqlalchemy.sql import func

from storage.engine import AnyRow, now
from storage.errors import UsageError
from storage.schema import corpora, jobs, shards
from storage.states import COMPLETE_JOB_STATES, OPEN_JOB_STATES, JobState, ShardState


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
        message = f"there is no job {job_id}; `hanmill jobs` lists them"
        raise UsageError(message)
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


def figures(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return a job's figures, each a sum over its shards; SPLIT shards count in none of them."""
    counted = (shards.c.job_id == job_id) & (shards.c.state != ShardState.SPLIT) & (shards.c.kind == "map")
    ended = shards.c.state.in_([ShardState.DONE, ShardState.DEAD])
    # What a running shard has read is counted as it reads: a compressed source has more of it than it has bytes.
    at_end = or_(ended, shards.c.bytes_done > shards.c.bytes)

    def total(column: Any) -> Any:
        return func.coalesce(func.sum(column), 0)

    statement = select(
        func.count().label("shards"),
        total(case((ended, 1), else_=0)).label("shards_done"),
        total(case((shards.c.state == ShardState.LEASED, 1), else_=0)).label("shards_running"),
        total(shards.c.bytes).label("bytes"),
        total(case((at_end, shards.c.bytes), else_=shards.c.bytes_done)).label("bytes_done"),
        total(shards.c.documents_in).label("documents_in"),
        total(shards.c.results).label("results"),
        total(shards.c.dead).label("dead"),
        total(shards.c.tokens).label("tokens"),
        total(case((shards.c.origin_id.is_not(None), 1), else_=0)).label("reused"),
        total(case((shards.c.origin_id.is_not(None), shards.c.bytes), else_=0)).label("reused_bytes"),
        total(shards.c.failures).label("failures"),
        total(shards.c.losses).label("losses"),
    ).where(counted)
    return {name: int(value) for name, value in connection.execute(statement).mappings().one().items()}


def shard_states(connection: Connection, job_id: int) -> dict[str, int]:
    """Return how many shards of a job stand in each state."""
    statement = select(shards.c.state, func.count()).where(shards.c.job_id == job_id).group_by(shards.c.state)
    return dict(connection.execute(statement).all())


def view(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return everything that is shown of a job; the shape that `run --format json` prints is a part of it."""
    row = get(connection, job_id)
    sums = figures(connection, job_id)
    until = row.finished_at if row.finished_at is not None else connection.scalar(select(now()))
    return {
        "id": row.id,
        "corpus": row.corpus,
        "operation": row.operation,
        "state": row.state,
        "reason": row.reason,
        "fingerprint": row.fingerprint,
        "priority": row.priority,
        "created_at": row.created_at,
        "finished_at": row.finished_at,
        "documents": sums["documents_in"],
        "results": sums["results"] - row.identical - row.replaced,
        "identical": row.identical,
        "replaced": row.replaced,
        "elapsed_s": round(until - row.created_at, 3),
        **{name: sums[name] for name in sums if name not in {"documents_in", "results"}},
    }


def list_ids(connection: Connection, *, unfinished: bool = False, corpus_id: int | None = None) -> Sequence[int]:
    """Return the ids of jobs, the newest first."""
    statement = select(jobs.c.id).order_by(jobs.c.id.desc())
    if unfinished:
        statement = statement.where(jobs.c.state.in_(OPEN_JOB_STATES))
    if corpus_id is not None:
        statement = statement.where(jobs.c.corpus_id == corpus_id)
    return connection.scalars(statement).all()
