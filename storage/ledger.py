"""Every transition of a shard and of a job, each one conditional UPDATE; nobody else writes their states.

All functions take an open transaction and all times come from the database's clock. What happens in the queue, and
what a shard computes, is none of this module's business.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, case, exists, insert, or_, select, update
from sqlalchemy.sql import func

from storage.engine import now
from storage.schema import attempts, dead_letters, jobs, shards
from storage.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES, UNFINISHED_SHARD_STATES, JobState, ShardState

#: Longest error text kept with a shard, in characters.
ERROR_CHARS = 2000
#: Seconds after which a planner that gave no sign is taken for dead.
PLANNER_SILENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Lease:
    """One attempt at a shard: what to do, and the token without which nothing of it commits."""

    shard_id: int
    job_id: int
    token: str
    kind: str
    pieces: dict[str, Any] | None
    partition: int | None
    root_key: bytes | None
    attempts: int
    failures: int
    losses: int
    deferrals: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a shard that is done."""

    documents_in: int
    results: int
    dead: int
    tokens: int
    digest: bytes | None = None
    partitions: int | None = None


def queue_due(connection: Connection, job_id: int, window: int) -> list[int]:
    """PENDING → QUEUED for as many due shards as the job's window has room for; return their ids."""
    queued = connection.scalar(
        select(func.count()).select_from(shards).where(shards.c.job_id == job_id, shards.c.state == ShardState.QUEUED)
    )
    room = window - (queued or 0)
    if room <= 0:
        return []
    due = (
        select(shards.c.id)
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(
            shards.c.job_id == job_id,
            shards.c.state == ShardState.PENDING,
            shards.c.not_before <= now(),
            jobs.c.state.in_(ACTIVE_JOB_STATES),
        )
        .order_by(shards.c.id)
        .limit(room)
        .with_for_update(skip_locked=True, of=shards)
    )
    ids = list(connection.scalars(due))
    statement = (
        update(shards)
        .where(shards.c.id.in_(ids), shards.c.state == ShardState.PENDING)
        .values(state=ShardState.QUEUED, queued_at=now())
        .returning(shards.c.id)
    )
    return sorted(connection.scalars(statement)) if ids else []


def unqueue(connection: Connection, shard_ids: Sequence[int]) -> None:
    """QUEUED → PENDING for shards whose message could not be published."""
    connection.execute(
        update(shards)
        .where(shards.c.id.in_(shard_ids), shards.c.state == ShardState.QUEUED)
        .values(state=ShardState.PENDING)
    )


def unqueue_older(connection: Connection, queued_before: float | None) -> int:
    """QUEUED → PENDING for every shard queued before that instant (None: for all); return how many."""
    statement = update(shards).where(shards.c.state == ShardState.QUEUED).values(state=ShardState.PENDING)
    if queued_before is not None:
        statement = statement.where(shards.c.queued_at <= queued_before)
    return connection.execute(statement).rowcount


def lease(connection: Connection, shard_id: int, worker: str, lease_s: float) -> Lease | None:
    """QUEUED or PENDING → LEASED; None when the shard cannot be claimed and its message is to be forgotten.

    The attempt is counted here, before the work, so that a shard that kills its worker cannot loop for ever.
    """
    token = secrets.token_hex(16)
    job_is_active = exists().where(jobs.c.id == shards.c.job_id, jobs.c.state.in_(ACTIVE_JOB_STATES))
    statement = (
        update(shards)
        .where(
            shards.c.id == shard_id,
            shards.c.state.in_([ShardState.QUEUED, ShardState.PENDING]),
            shards.c.not_before <= now(),
            job_is_active,
        )
        .values(
            state=ShardState.LEASED,
            token=token,
            leased_by=worker,
            leased_at=now(),
            lease_until=now() + lease_s,
            attempts=shards.c.attempts + 1,
            bytes_done=0,
        )
        .returning(shards)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    statement_attempt = insert(attempts).values(
        shard_id=row.id, job_id=row.job_id, number=row.attempts, token=token, worker=worker, started_at=now()
    )
    connection.execute(statement_attempt)
    return Lease(
        row.id,
        row.job_id,
        token,
        row.kind,
        json.loads(row.pieces) if row.pieces else None,
        row.partition,
        row.root_key,
        row.attempts,
        row.failures,
        row.losses,
        row.deferrals,
        row.error,
    )


def _held(held: Lease) -> Any:
    """Return the fence: the condition that this attempt still holds its shard and its job may still commit."""
    return and_(
        shards.c.id == held.shard_id,
        shards.c.token == held.token,
        shards.c.state == ShardState.LEASED,
        exists().where(jobs.c.id == shards.c.job_id, jobs.c.state.not_in([JobState.CANCELLED, JobState.FAILED])),
    )


def renew(connection: Connection, held: Lease, lease_s: float, bytes_done: int = 0) -> bool:
    """Prolong the lease from this moment on; False when it is lost."""
    statement = update(shards).where(_held(held)).values(lease_until=now() + lease_s, bytes_done=bytes_done)
    return connection.execute(statement).rowcount == 1


def holds(connection: Connection, held: Lease) -> bool:
    """Lock the shard and say whether the attempt still holds it: the fence of a write before the shard is done."""
    statement = update(shards).where(_held(held)).values(token=shards.c.token)
    return connection.execute(statement).rowcount == 1


def finish(connection: Connection, held: Lease, outcome: Outcome) -> bool:
    """LEASED → DONE; False when the lease is lost, and then nothing of the attempt may be written."""
    statement = (
        update(shards)
        .where(_held(held))
        .values(
            state=ShardState.DONE,
            finished_at=now(),
            documents_in=outcome.documents_in,
            results=outcome.results,
            dead=outcome.dead,
            tokens=outcome.tokens,
            digest=outcome.digest,
            partitions=outcome.partitions,
            error=None,
            **_FREE,
        )
    )
    return _leave(connection, held, statement, "done", None)


def fail(connection: Connection, held: Lease, error: str, delay_s: float) -> bool:
    """LEASED → PENDING after the shard's own failure, not to be tried again before `delay_s` have passed."""
    values = {"failures": shards.c.failures + 1, "error": error[:ERROR_CHARS], "not_before": now() + delay_s}
    statement = update(shards).where(_held(held)).values(state=ShardState.PENDING, **values, **_FREE)
    return _leave(connection, held, statement, "failed", error)


def defer(connection: Connection, held: Lease, error: str, delay_s: float) -> bool:
    """LEASED → PENDING because the world was not ready; the shard itself is not to blame."""
    values = {"deferrals": shards.c.deferrals + 1, "error": error[:ERROR_CHARS], "not_before": now() + delay_s}
    statement = update(shards).where(_held(held)).values(state=ShardState.PENDING, **values, **_FREE)
    return _leave(connection, held, statement, "deferred", error)


def split(connection: Connection, held: Lease, halves: Sequence[tuple[dict[str, Any], int]]) -> bool:
    """LEASED → SPLIT, and insert the halves (pieces, bytes) with every count at zero."""
    statement = update(shards).where(_held(held)).values(state=ShardState.SPLIT, finished_at=now(), **_FREE)
    if not _leave(connection, held, statement, "split", None):
        return False
    connection.execute(dead_letters.delete().where(dead_letters.c.shard_id == held.shard_id))
    for half, (pieces, size_bytes) in enumerate(halves):
        connection.execute(insert(shards).values(**child(held, pieces, half), bytes=size_bytes))
    return True


def child(parent: Lease, pieces: dict[str, Any], half: int) -> dict[str, Any]:
    """Return the row of a shard that takes over a part of another."""
    return {
        "job_id": parent.job_id,
        "kind": "map",
        "state": ShardState.PENDING,
        "parent_id": parent.shard_id,
        "half": half,
        "root_key": parent.root_key,
        "pieces": json.dumps(pieces, separators=(",", ":")),
    }


def bury(connection: Connection, held: Lease, dead: int) -> bool:
    """LEASED → DEAD; the caller writes the dead letters in the same transaction."""
    statement = (
        update(shards)
        .where(_held(held))
        .values(state=ShardState.DEAD, finished_at=now(), documents_in=dead, dead=dead, **_FREE)
    )
    return _leave(connection, held, statement, "dead", None)


#: What a shard loses together with its lease.
_FREE: dict[str, Any] = {"token": None, "leased_by": None, "lease_until": None, "queued_at": None, "bytes_done": 0}


def _leave(connection: Connection, held: Lease, statement: Any, outcome: str, error: str | None) -> bool:
    if connection.execute(statement).rowcount != 1:
        return False
    end_attempt(connection, held.shard_id, held.token, outcome, error)
    return True


def end_attempt(connection: Connection, shard_id: int, token: str, outcome: str, error: str | None = None) -> None:
    """Write how an attempt ended."""
    connection.execute(
        update(attempts)
        .where(attempts.c.shard_id == shard_id, attempts.c.token == token, attempts.c.outcome.is_(None))
        .values(finished_at=now(), outcome=outcome, error=error[:ERROR_CHARS] if error else None)
    )


def free_lapsed(connection: Connection) -> int:
    """LEASED → PENDING for every shard whose lease ran out; return how many."""
    return _lose(connection, shards.c.lease_until < now())


def free_shard(connection: Connection, shard_id: int, worker_prefix: str) -> int:
    """LEASED → PENDING for one shard if one of these workers holds it; return how many (0 or 1)."""
    return _lose(
        connection, and_(shards.c.id == shard_id, shards.c.leased_by.startswith(worker_prefix, autoescape=True))
    )


def free_worker(connection: Connection, worker_prefix: str, *, stopped: bool = False) -> int:
    """LEASED → PENDING for every shard of workers known to be dead; return how many.

    Of workers that were `stopped` on purpose no loss is counted: the shards are not to blame.
    """
    of_worker = shards.c.leased_by.startswith(worker_prefix, autoescape=True)
    return _lose(connection, of_worker, losses=0 if stopped else 1)


def _lose(connection: Connection, condition: Any, losses: int = 1) -> int:
    lost = connection.execute(
        select(shards.c.id, shards.c.token)
        .where(shards.c.state == ShardState.LEASED, condition)
        .with_for_update(skip_locked=True)
    ).all()
    for row in lost:
        connection.execute(
            update(shards)
            .where(shards.c.id == row.id, shards.c.token == row.token)
            .values(state=ShardState.PENDING, losses=shards.c.losses + losses, **_FREE)
        )
        end_attempt(connection, row.id, row.token, "lost")
    return len(lost)


def unfinished(job_id: int) -> Any:
    """Return the condition that a job still has shards to run."""
    return exists().where(shards.c.job_id == job_id, shards.c.state.in_(UNFINISHED_SHARD_STATES))


def begin_merging(connection: Connection, job_id: int) -> bool:
    """Move RUNNING → MERGING once the job is sealed and every shard has ended; True for the one caller who did it."""
    return _advance(connection, job_id, [JobState.RUNNING], JobState.MERGING)


def end_job(connection: Connection, job_id: int, before: JobState, values: dict[str, Any]) -> bool:
    """Move a job to DONE or DONE_WITH_DEAD once every shard has ended; True for the one caller who did it."""
    standing = exists().where(dead_letters.c.job_id == job_id, dead_letters.c.state != "replayed")
    # Asked in the very statement that finds every shard ended: asked before it, the last shard's would be missed.
    state = case((standing, JobState.DONE_WITH_DEAD), else_=JobState.DONE)
    return _advance(connection, job_id, [before], state, finished_at=now(), **values)


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
        .values(state=ShardState.PENDING, **_FREE)
    )
    connection.execute(
        update(attempts)
        .where(attempts.c.job_id == job_id, attempts.c.outcome.is_(None))
        .values(finished_at=now(), outcome="cancelled")
    )
    return True


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
    connection.execute(
        update(shards)
        .where(shards.c.job_id == job_id, or_(*(shards.c.state == state for state in UNFINISHED_SHARD_STATES)))
        .values(state=ShardState.PENDING, failures=0, losses=0, deferrals=0, not_before=0, **_FREE)
    )
    return True


def reopen(connection: Connection, job_id: int) -> bool:
    """DONE_WITH_DEAD → RUNNING, for dead letters that run again; what was summed is summed anew at the end."""
    if not change_job(connection, job_id, [JobState.DONE_WITH_DEAD], JobState.RUNNING, finished_at=None):
        return False
    connection.execute(shards.delete().where(shards.c.job_id == job_id, shards.c.kind == "merge"))
    return True


def active_jobs(connection: Connection) -> list[int]:
    """Return the jobs that run, higher priorities first, then the oldest."""
    statement = select(jobs.c.id).where(jobs.c.state.in_(ACTIVE_JOB_STATES))
    return list(connection.scalars(statement.order_by(jobs.c.priority.desc(), jobs.c.id)))


def count_in_flight(connection: Connection) -> tuple[int, int]:
    """Return how many shards are QUEUED and how many are LEASED, of all jobs."""
    states = [ShardState.QUEUED, ShardState.LEASED]
    statement = (
        select(shards.c.state, func.count())
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(jobs.c.state.in_(OPEN_JOB_STATES), shards.c.state.in_(states))
        .group_by(shards.c.state)
    )
    counts: dict[str, int] = dict(connection.execute(statement).all())
    return counts.get(ShardState.QUEUED, 0), counts.get(ShardState.LEASED, 0)


def count_unfinished(connection: Connection, at_most: int) -> int:
    """Return how many shards wait or run, of all jobs, counted no further than a limit."""
    some = (
        select(shards.c.id)
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(jobs.c.state.in_(OPEN_JOB_STATES), shards.c.state.in_(UNFINISHED_SHARD_STATES))
        .limit(at_most)
    )
    return connection.scalar(select(func.count()).select_from(some.subquery())) or 0


def moment(connection: Connection) -> float:
    """Return the database's clock."""
    return float(connection.scalar(select(now())) or 0.0)
