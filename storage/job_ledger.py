"""Every transition of a job, each one conditional UPDATE, and the few questions that dispatching asks of all jobs.

Shards change in `ledger.py`; the functions here take an open transaction as those do.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, case, exists, or_, select, update
from sqlalchemy.sql import func

from storage.engine import now
from storage.job_limits import Spent, keep_limits, unlimit_job
from storage.ledger import FREED
from storage.schema import attempts, dead_letters, jobs, shards
from storage.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES, UNFINISHED_SHARD_STATES, JobState, ShardState

#: Seconds after which a planner that gave no sign is taken for dead.
PLANNER_SILENCE_S = 60.0


def unfinished(job_id: int) -> Any:
    """Return the condition that a job still has shards to run."""
    # The first of each state, in order: asked whether there is any in one of some states, PostgreSQL may think that
    # reading the table is the quickest way to one, and reads a million shards that are done.
    first_of_each = (
        select(shards.c.id)
        .where(shards.c.job_id == job_id, shards.c.state == state)
        .order_by(shards.c.id)
        .limit(1)
        .scalar_subquery()
        for state in UNFINISHED_SHARD_STATES
    )
    return or_(*(first.is_not(None) for first in first_of_each))


def begin_merging(connection: Connection, job_id: int) -> bool:
    """Move RUNNING → MERGING once the job is sealed and every shard has ended; True for the one caller who did it."""
    return _advance(connection, job_id, [JobState.RUNNING], JobState.MERGING)


def end_job(connection: Connection, job_id: int, before: JobState, values: dict[str, Any]) -> bool:
    """Move a job to DONE or DONE_WITH_DEAD once every shard has ended; True for the one caller who did it."""
    standing = exists().where(dead_letters.c.job_id == job_id, dead_letters.c.state != "replayed")
    # Asked in the very statement that finds every shard ended: asked before it, the last shard's would be missed.
    state = case((standing, JobState.DONE_WITH_DEAD), else_=JobState.DONE)
    return _advance(connection, job_id, [before], state, finished_at=now(), reason=None, **values)


def note_reason(connection: Connection, job_id: int, reason: str) -> None:
    """Write down what is wrong with a job that has ended: its figures do not add up."""
    connection.execute(update(jobs).where(jobs.c.id == job_id).values(reason=reason))


def _advance(connection: Connection, job_id: int, before: Sequence[JobState], after: Any, **values: Any) -> bool:
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(before), jobs.c.sealed_at.is_not(None), ~unfinished(job_id))
        .values(state=after, **values)
    )
    return connection.execute(statement).rowcount == 1


def change_job(connection: Connection, job_id: int, before: Sequence[JobState], after: JobState, **values: Any) -> bool:
    """Move a job from one of some states into another; False when it is in none of them."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state.in_(before)).values(state=after, **values)
    return connection.execute(statement).rowcount == 1


def start_planning(connection: Connection, job_id: int) -> str | None:
    """Take the seal off a job and make the caller its planner; return the planner's token, None for an ended job.

    Whoever planned it before finds the token gone. No producer joins the job from here on.
    """
    token = secrets.token_hex(16)
    statement = (
        update(jobs)
        .where(jobs.c.id == job_id, jobs.c.state.in_(OPEN_JOB_STATES))
        .values(sealed_at=None, seal_at=None, planner=token, planner_until=now() + PLANNER_SILENCE_S)
    )
    if connection.execute(statement).rowcount != 1:
        return None
    # What was being summed may change now. A merge that was paused is taken back too, or it would go on with it.
    connection.execute(shards.delete().where(shards.c.job_id == job_id, shards.c.kind == "merge"))
    change_job(connection, job_id, [JobState.MERGING], JobState.RUNNING)
    return token


def plans(connection: Connection, job_id: int, planner: str) -> bool:
    """Lock the job and say whether the planner still has it."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.planner == planner)
    return connection.execute(statement.values(planner_until=now() + PLANNER_SILENCE_S)).rowcount == 1


def seal(connection: Connection, job_id: int, planner: str) -> bool:
    """Say that every shard of a job is there; from now on it can be complete."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.planner == planner)
    sealed = connection.execute(statement.values(sealed_at=now(), planner=None, planner_until=None)).rowcount == 1
    if sealed:
        change_job(connection, job_id, [JobState.PLANNING], JobState.RUNNING)
    return sealed


def is_being_planned(connection: Connection, job_id: int) -> bool:
    """Say whether somebody is planning a job just now."""
    condition = exists().where(jobs.c.id == job_id, jobs.c.planner.is_not(None), jobs.c.planner_until > now())
    return bool(connection.scalar(select(condition)))


def jobs_to_plan(connection: Connection) -> list[int]:
    """Return the jobs whose time to be sealed has come, or whose planner is silent."""
    # A job that nobody has begun to plan counts as planned from its birth: its maker may have been killed before.
    silent_from = func.coalesce(jobs.c.planner_until, jobs.c.created_at + PLANNER_SILENCE_S)
    statement = select(jobs.c.id).where(
        jobs.c.state.in_([JobState.PLANNING, JobState.RUNNING]),
        jobs.c.sealed_at.is_(None),
        or_(jobs.c.seal_at < now(), and_(jobs.c.seal_at.is_(None), silent_from < now())),
    )
    return list(connection.scalars(statement))


def join_open_job(connection: Connection, job_id: int) -> bool:
    """Lock a job that takes enqueued documents, so that it is not sealed before the caller's shards are in."""
    statement = update(jobs).where(jobs.c.id == job_id, jobs.c.state == JobState.PLANNING, jobs.c.seal_at > now())
    return connection.execute(statement.values(seal_at=jobs.c.seal_at)).rowcount == 1


def pause(connection: Connection, job_id: int) -> bool:
    """Stop leasing a job's shards; what runs may finish and commit."""
    if not change_job(connection, job_id, ACTIVE_JOB_STATES, JobState.PAUSED):
        return False
    _unqueue_job(connection, job_id)
    return True


def resume(connection: Connection, job_id: int) -> bool:
    """PAUSED → RUNNING (a merge that was paused goes on, for its shards are there)."""
    return change_job(connection, job_id, [JobState.PAUSED], _resumed_state(connection, job_id))


def _resumed_state(connection: Connection, job_id: int) -> JobState:
    # Merge shards stand from the merge's beginning to a new planning; all of them may have ended meanwhile.
    merging = exists().where(shards.c.job_id == job_id, shards.c.kind == "merge")
    return JobState.MERGING if connection.scalar(select(merging)) else JobState.RUNNING


def cancel(
    connection: Connection, job_id: int, state: JobState = JobState.CANCELLED, reason: str | None = None
) -> bool:
    """End a job at once: leases are broken, so that nothing of it commits any more."""
    before = [*ACTIVE_JOB_STATES, JobState.PAUSED]
    if not change_job(connection, job_id, before, state, finished_at=now(), reason=reason):
        return False
    connection.execute(
        update(shards)
        .where(shards.c.job_id == job_id, shards.c.state.in_([ShardState.LEASED, ShardState.QUEUED]))
        .values(state=ShardState.PENDING, **FREED)
    )
    connection.execute(
        update(attempts)
        .where(attempts.c.job_id == job_id, attempts.c.outcome.is_(None))
        .values(finished_at=now(), outcome="cancelled")
    )
    return True


def stop_spent(connection: Connection) -> list[Spent]:
    """End every job that has reached a limit of its own as STOPPED; return them with the reason."""
    return [
        spent
        for spent in keep_limits(connection)
        if cancel(connection, spent.job_id, JobState.STOPPED, reason=spent.reason)
    ]


def _unqueue_job(connection: Connection, job_id: int) -> None:
    connection.execute(
        update(shards)
        .where(shards.c.job_id == job_id, shards.c.state == ShardState.QUEUED)
        .values(state=ShardState.PENDING)
    )


def retry(connection: Connection, job_id: int) -> bool:
    """Open a job that was cancelled or failed again; its shards that failed start with every count at zero."""
    before = [JobState.CANCELLED, JobState.FAILED, JobState.STOPPED]
    state = _resumed_state(connection, job_id)
    if not change_job(connection, job_id, before, state, finished_at=None, reason=None):
        return False
    # Or the limit that ended it would end it again.
    unlimit_job(connection, job_id)
    connection.execute(
        update(shards)
        .where(shards.c.job_id == job_id, or_(*(shards.c.state == state for state in UNFINISHED_SHARD_STATES)))
        .values(state=ShardState.PENDING, failures=0, losses=0, deferrals=0, not_before=0, **FREED)
    )
    return True


def reopen(connection: Connection, job_id: int) -> bool:
    """DONE_WITH_DEAD → RUNNING, for dead letters that run again; what was summed is summed anew at the end."""
    if not change_job(connection, job_id, [JobState.DONE_WITH_DEAD], JobState.RUNNING, finished_at=None):
        return False
    unlimit_job(connection, job_id)
    connection.execute(shards.delete().where(shards.c.job_id == job_id, shards.c.kind == "merge"))
    return True


def active_jobs(connection: Connection) -> list[int]:
    """Return the jobs that run, higher priorities first, then the oldest."""
    statement = select(jobs.c.id).where(jobs.c.state.in_(ACTIVE_JOB_STATES))
    return list(connection.scalars(statement.order_by(jobs.c.priority.desc(), jobs.c.id)))


def active_operations(connection: Connection) -> list[str]:
    """Return the operations of all jobs that have not ended."""
    statement = select(jobs.c.operation).where(jobs.c.state.in_(OPEN_JOB_STATES)).distinct().order_by(jobs.c.operation)
    return list(connection.scalars(statement))


def queued_shards(connection: Connection) -> set[int]:
    """Return the shards that are QUEUED, of all jobs: a window of each at most."""
    statement = (
        select(shards.c.id)
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(jobs.c.state.in_(OPEN_JOB_STATES), shards.c.state == ShardState.QUEUED)
    )
    return set(connection.scalars(statement))


def count_enqueued_unfinished(connection: Connection, at_most: int) -> int:
    """Return how many shards of enqueued documents wait or run, of all jobs, counted no further than a limit.

    Shards of files do not count: a bulk job over a large corpus is no reason to hold a feed back.
    """
    some = (
        select(shards.c.id)
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(
            jobs.c.state.in_(OPEN_JOB_STATES),
            shards.c.state.in_(UNFINISHED_SHARD_STATES),
            shards.c.pieces.startswith('{"documents"', autoescape=True),
        )
        .limit(at_most)
    )
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def moment(connection: Connection) -> float:
    """Return the database's clock."""
    return float(connection.scalar(select(now())) or 0.0)
