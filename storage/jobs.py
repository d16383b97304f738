"""Jobs as rows: made, found, and shown with their figures. Their states change in `ledger.py` alone."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select
from sqlalchemy.sql import func

from storage import progress
from storage.engine import AnyRow, now
from storage.errors import UsageError
from storage.schema import corpora, jobs
from storage.states import COMPLETE_JOB_STATES, OPEN_JOB_STATES, JobState

#: Jobs named by one statement.
CHUNK = 500


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
        raise UsageError(progress.no_such_job(job_id))
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
    return _figures(progress.sums_of(connection, [job_id])[job_id])


def _figures(sums: Mapping[str, int]) -> dict[str, int]:
    done = sums["done"] + sums["buried"]
    return {
        "shards": sums["pending"] + sums["queued"] + sums["leased"] + done,
        "shards_done": done,
        "shards_running": sums["leased"],
        **{name: sums[name] for name in _SHOWN_SUMS},
    }


#: Sums that are figures as they stand.
_SHOWN_SUMS = (
    "bytes",
    "bytes_done",
    "documents_in",
    "results",
    "dead",
    "tokens",
    "reused",
    "reused_bytes",
    "failures",
    "losses",
)


def shard_states(connection: Connection, job_id: int) -> dict[str, int]:
    """Return how many shards of a job stand in each state."""
    return progress.shards_by_state(connection, [job_id])


def view(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return everything that is shown of a job; the shape that `run --format json` prints is a part of it.

    Raises `UsageError` when there is no such job.
    """
    return views(connection, [job_id])[0]


def views(connection: Connection, job_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return what is shown of each of some jobs, in the order that was asked for; large jobs cost no more than small.

    Raises `UsageError` when one is not there.
    """
    sums = progress.sums_of(connection, job_ids)
    moment = float(connection.scalar(select(now())) or 0.0)
    rows: dict[int, AnyRow] = {}
    for start in range(0, len(job_ids), CHUNK):
        chunk = job_ids[start : start + CHUNK]
        statement = select(jobs, corpora.c.name.label("corpus")).join(corpora).where(jobs.c.id.in_(chunk))
        rows.update({row.id: row for row in connection.execute(statement)})
    missing = next((job_id for job_id in job_ids if job_id not in rows), None)
    if missing is not None:
        raise UsageError(progress.no_such_job(missing))
    return [_view(rows[job_id], _figures(sums[job_id]), moment) for job_id in job_ids]


def _view(row: AnyRow, figures_of: Mapping[str, int], moment: float) -> dict[str, Any]:
    until = row.finished_at if row.finished_at is not None else moment
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
        "documents": figures_of["documents_in"],
        "results": figures_of["results"] - row.identical - row.replaced,
        "identical": row.identical,
        "replaced": row.replaced,
        "elapsed_s": round(until - row.created_at, 3),
        **{name: value for name, value in figures_of.items() if name not in {"documents_in", "results"}},
    }


def list_ids(connection: Connection, *, unfinished: bool = False, corpus_id: int | None = None) -> Sequence[int]:
    """Return the ids of jobs, the newest first."""
    statement = select(jobs.c.id).order_by(jobs.c.id.desc())
    if unfinished:
        statement = statement.where(jobs.c.state.in_(OPEN_JOB_STATES))
    if corpus_id is not None:
        statement = statement.where(jobs.c.corpus_id == corpus_id)
    return connection.scalars(statement).all()
