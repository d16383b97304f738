"""What commands and the doctor ask of the database besides results: does it answer, what does a job stand at.

Changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, exists, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.sql import func

from storage import job_views
from storage.asking import ConnectionAsker
from storage.engine import reading
from storage.errors import TransientError
from storage.schema import corpora, dead_letters, job_progress, jobs
from storage.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES


def check_reachable(engine: Engine, shown_url: str) -> None:
    """Ask the database for its clock, once; raises `TransientError` that names it when it does not answer."""
    try:
        with reading(engine) as connection:
            connection.execute(select(1))
    except (SQLAlchemyError, TransientError) as error:
        message = f"the database {shown_url} does not answer: {_first_line(error)}; see HANMILL_DATABASE_URL"
        raise TransientError(message) from error


def fault_of(error: BaseException) -> str | None:
    """Return the sentence for an error that the database raised; None for any other."""
    if isinstance(error, DBAPIError):
        return f"the database failed: {_first_line(error)}"
    return None


def _first_line(error: BaseException) -> str:
    cause = getattr(error, "orig", None) or error
    return (str(cause).strip() or type(cause).__name__).splitlines()[0]


def states_of(connection: Connection, job_ids: Sequence[int]) -> dict[int, str]:
    """Return the state of every one of some jobs; cheap, however many shards they have."""
    statement = select(jobs.c.id, jobs.c.state).where(jobs.c.id.in_(job_ids))
    return {row.id: row.state for row in connection.execute(statement)}


def other_active(connection: Connection, job_ids: Sequence[int]) -> list[tuple[int, str]]:
    """Return (id, corpus) of every job that runs besides some."""
    statement = (
        select(jobs.c.id, corpora.c.name)
        .join(corpora, corpora.c.id == jobs.c.corpus_id)
        .where(jobs.c.state.in_(ACTIVE_JOB_STATES), jobs.c.id.not_in(job_ids))
        .order_by(jobs.c.id)
    )
    return [(job_id, name) for job_id, name in connection.execute(statement)]


def last_errors(connection: Connection, job_id: int, limit: int = 5) -> list[dict[str, Any]]:
    """Return the shards of a job that failed last and have not ended, with the reason."""
    return job_views.last_errors(ConnectionAsker(connection), job_id, limit)


def operations_waiting(connection: Connection) -> dict[str, int]:
    """Return, for every operation that has work, how many of its shards wait or run."""
    unfinished = func.sum(job_progress.c.pending + job_progress.c.queued + job_progress.c.leased)
    statement = (
        select(jobs.c.operation, unfinished)
        .join(job_progress, job_progress.c.job_id == jobs.c.id)
        .where(jobs.c.state.in_(OPEN_JOB_STATES))
        .group_by(jobs.c.operation)
        .having(unfinished > 0)
    )
    return {operation: int(number) for operation, number in connection.execute(statement)}


def has_standing(connection: Connection, job_ids: Sequence[int]) -> bool:
    """Say whether a dead letter of some jobs waits for replay or discard."""
    standing = exists().where(dead_letters.c.job_id.in_(job_ids), dead_letters.c.state == "standing")
    return bool(connection.scalar(select(standing)))
