"""Every transition of a shard, each one conditional UPDATE; nobody else writes a shard's state. Jobs: `job_ledger`.

All functions take an open transaction and all times come from the database's clock. What happens in the queue, and
what a shard computes, is none of this module's business.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

from sqlalchemy import Connection, and_, case, exists, insert, or_, select, update
from sqlalchemy.sql import func

from storage import fault_points
from storage.engine import AnyRow, now
from storage.job_limits import Room, has_document_limit, in_time, lock_room, unlimited
from storage.schema import attempts, dead_letters, jobs, shards
from storage.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES, ShardState

#: Shards named by one statement.
CHUNK = 500
#: A shard that has lost so many workers is not computed in one batch with others any more: it may be what kills them.
LOSSES_IN_COMPANY = 2
#: The first number of a replayed dead letter among the children of its shard; 0 and 1 are the halves of a split one.
FIRST_REPLAYED = 2
#: What is known of a worker's end when nobody saw it.
FELL_SILENT = "its worker fell silent, and the lease lapsed"
#: Longest error text kept with a shard, in characters.
ERROR_CHARS = 2000


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
    #: It came of halving a shard that kept failing: somewhere in such halves is what made it fail.
    is_half: bool = False


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
            in_time(),
        )
        .order_by(shards.c.id)
        .limit(room)
        .with_for_update(skip_locked=True, of=shards)
    )
    # Locked before the shards, as whoever leases does.
    limit = lock_room(connection, job_id, [ShardState.QUEUED, ShardState.LEASED])
    ids = list(connection.scalars(due))
    if limit is not None:
        ids = _fitting(connection, ids, limit)
    statement = (
        update(shards)
        .where(shards.c.id.in_(ids), shards.c.state == ShardState.PENDING)
        .values(state=ShardState.QUEUED, queued_at=now())
        .returning(shards.c.id)
    )
    return sorted(connection.scalars(statement)) if ids else []


def _fitting(connection: Connection, shard_ids: Sequence[int], room: Room) -> list[int]:
    """Return those of some shards that a job's limit has room for, from the first."""
    columns = (shards.c.id, shards.c.kind, shards.c.bytes, shards.c.pieces)
    rows = connection.execute(select(*columns).where(shards.c.id.in_(shard_ids)).order_by(shards.c.id))
    return [row.id for row in rows if room.take(row)]


def unqueue(connection: Connection, shard_ids: Sequence[int]) -> None:
    """QUEUED → PENDING for shards whose message could not be published."""
    connection.execute(
        update(shards)
        .where(shards.c.id.in_(shard_ids), shards.c.state == ShardState.QUEUED)
        .values(state=ShardState.PENDING)
    )


def unqueue_all(connection: Connection) -> int:
    """QUEUED → PENDING for every shard, because the queue has forgotten everything; return how many."""
    statement = update(shards).where(shards.c.state == ShardState.QUEUED).values(state=ShardState.PENDING)
    return connection.execute(statement).rowcount


def unqueue_lost(connection: Connection, queued_before: float, in_queue: AbstractSet[int]) -> int:
    """QUEUED → PENDING for shards queued before an instant whose messages are not in the queue; return how many."""
    queued = select(shards.c.id).where(shards.c.state == ShardState.QUEUED, shards.c.queued_at <= queued_before)
    lost = [shard_id for shard_id in connection.scalars(queued) if shard_id not in in_queue]
    for start in range(0, len(lost), CHUNK):
        unqueue(connection, lost[start : start + CHUNK])
    return len(lost)


def lease(connection: Connection, shard_id: int, worker: str, lease_s: float, token: str | None = None) -> Lease | None:
    """QUEUED or PENDING → LEASED; None when the shard cannot be claimed and its message is to be forgotten.

    The attempt is counted here, before the work, so that a shard that kills its worker cannot loop for ever. Whoever
    brings a token of its own, from `new_token`, gets the same lease again when the answer to the first commit was lost.
    """
    leases = _lease(connection, [shard_id], worker, lease_s, token)
    return leases[0] if leases else None


def new_token() -> str:
    """Return a token for one attempt."""
    return secrets.token_hex(16)


def lease_companions(
    connection: Connection, first: Lease, worker: str, lease_s: float, *, max_bytes: int, max_shards: int
) -> list[Lease]:
    """QUEUED or PENDING → LEASED for due shards that may be computed in one batch with another, of any job.

    They are of the same operation and fingerprint, and none has failed before, lost two workers, or is half of one that
    did: such a one is computed alone. Together they are at most `max_bytes` and `max_shards`, older jobs and queued
    shards first.
    """
    like = select(jobs.c.operation, jobs.c.fingerprint).where(jobs.c.id == first.job_id).subquery()
    same = select(jobs.c.id).where(
        jobs.c.operation == like.c.operation,
        jobs.c.fingerprint == like.c.fingerprint,
        jobs.c.state.in_(ACTIVE_JOB_STATES),
    )
    chosen, total_bytes = [], 0
    for row in _companions(connection, list(connection.scalars(same.order_by(jobs.c.id))), max_shards):
        total_bytes += row.bytes
        if total_bytes > max_bytes:
            break
        chosen.append(row.id)
    leases: list[Lease] = []
    for start in range(0, len(chosen), CHUNK):
        leases += _lease(connection, chosen[start : start + CHUNK], worker, lease_s)
    return leases


def _companions(connection: Connection, job_ids: Sequence[int], max_shards: int) -> Iterator[AnyRow]:
    # One state of one job at a time: asked for all of them, in order, SQLite reads every shard there is.
    left = max_shards
    for job_id, state in product(job_ids, (ShardState.QUEUED, ShardState.PENDING)):
        due = (
            select(shards.c.id, shards.c.bytes)
            .where(
                shards.c.job_id == job_id,
                shards.c.state == state,
                shards.c.kind == "map",
                shards.c.not_before <= now(),
                shards.c.failures == 0,
                shards.c.losses < LOSSES_IN_COMPANY,
                or_(shards.c.half.is_(None), shards.c.half >= FIRST_REPLAYED),
            )
            .order_by(shards.c.id)
            .limit(left)
            .with_for_update(skip_locked=True, of=shards)
        )
        rows = connection.execute(due).all() if left else []
        left -= len(rows)
        yield from rows


def _within_limits(connection: Connection, shard_ids: Sequence[int]) -> list[int]:
    """Return those of some shards whose jobs may compute so many documents only, and have room for them."""
    statement = select(shards.c.id, shards.c.job_id).where(shards.c.id.in_(shard_ids), has_document_limit())
    by_job: dict[int, list[int]] = {}
    for row in connection.execute(statement.order_by(shards.c.job_id)):
        by_job.setdefault(row.job_id, []).append(row.id)
    fitting: list[int] = []
    for job_id, ids in by_job.items():
        room = lock_room(connection, job_id, [ShardState.LEASED])
        if room is not None:
            fitting += _fitting(connection, ids, room)
    return fitting


def _claim(
    connection: Connection, shard_ids: Sequence[int], condition: Any, *, token: str, worker: str, lease_s: float
) -> list[AnyRow]:
    if not shard_ids:
        return []
    job_is_active = exists().where(jobs.c.id == shards.c.job_id, jobs.c.state.in_(ACTIVE_JOB_STATES))
    statement = (
        update(shards)
        .where(
            shards.c.id.in_(shard_ids),
            shards.c.state.in_([ShardState.QUEUED, ShardState.PENDING]),
            shards.c.not_before <= now(),
            job_is_active,
            condition,
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
        .returning(*_LEASED_COLUMNS)
    )
    return list(connection.execute(statement))


def _lease(
    connection: Connection, shard_ids: Sequence[int], worker: str, lease_s: float, given_token: str | None = None
) -> list[Lease]:
    """Lease those of some shards that can be; one token for all, for it is always looked at beside the shard's id."""
    token = given_token or new_token()
    claim = partial(_claim, connection, token=token, worker=worker, lease_s=lease_s)
    rows = claim(shard_ids, unlimited())
    if len(rows) < len(shard_ids):
        # Seldom: a message that comes late, or a job that has a limit.
        rows += claim(_within_limits(connection, shard_ids), in_time())
    rows.sort(key=lambda row: row.id)
    if not rows:
        return _leased_with(connection, shard_ids, token) if given_token else []
    common = {"token": token, "worker": worker}
    connection.execute(
        insert(attempts),
        [
            {
                "shard_id": row.id,
                "job_id": row.job_id,
                "number": row.attempts,
                "started_at": row.leased_at,
                **common,
            }
            for row in rows
        ],
    )
    fault_points.reach("lease.uncommitted")
    return [_as_lease(row, token) for row in rows]


def _leased_with(connection: Connection, shard_ids: Sequence[int], token: str) -> list[Lease]:
    statement = select(*_LEASED_COLUMNS).where(
        shards.c.id.in_(shard_ids), shards.c.token == token, shards.c.state == ShardState.LEASED
    )
    return [_as_lease(row, token) for row in connection.execute(statement)]


#: What a lease is made of.
_LEASED_COLUMNS = (
    shards.c.id,
    shards.c.job_id,
    shards.c.kind,
    shards.c.pieces,
    shards.c.partition,
    shards.c.root_key,
    shards.c.attempts,
    shards.c.failures,
    shards.c.losses,
    shards.c.deferrals,
    shards.c.error,
    shards.c.half,
    shards.c.leased_at,
)


def _as_lease(row: AnyRow, token: str) -> Lease:
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
        row.half is not None and row.half < FIRST_REPLAYED,
    )


def _held(held: Lease) -> Any:
    """Return the fence: the condition that this attempt still holds its shard and its job may still commit."""
    return and_(
        shards.c.id == held.shard_id,
        shards.c.token == held.token,
        shards.c.state == ShardState.LEASED,
        exists().where(jobs.c.id == shards.c.job_id, jobs.c.state.in_(OPEN_JOB_STATES)),
    )


def renew_all(
    connection: Connection, leases: Sequence[Lease], lease_s: float, bytes_done: Mapping[int, int]
) -> set[int]:
    """Prolong leases from this moment on, and note how far their shards are; return the shards still held."""
    kept: set[int] = set()
    _lock_in_order(connection, [held.shard_id for held in leases])
    for token in {held.token for held in leases}:
        ids = [held.shard_id for held in leases if held.token == token]
        for start in range(0, len(ids), CHUNK):
            chunk = ids[start : start + CHUNK]
            progress = case({shard_id: bytes_done.get(shard_id, 0) for shard_id in chunk}, value=shards.c.id, else_=0)
            statement = (
                update(shards)
                .where(
                    shards.c.id.in_(chunk),
                    shards.c.token == token,
                    shards.c.state == ShardState.LEASED,
                    exists().where(jobs.c.id == shards.c.job_id, jobs.c.state.in_(OPEN_JOB_STATES)),
                )
                .values(lease_until=now() + lease_s, bytes_done=progress)
                .returning(shards.c.id)
            )
            kept.update(connection.scalars(statement))
    return kept


def _lock_in_order(connection: Connection, shard_ids: Sequence[int]) -> None:
    """Lock shards by their ids: so does who writes a batch's ends, and else the two wait for each other in a circle."""
    # One shard needs no order. An UPDATE of several locks them as it finds them in the table.
    ordered = sorted(shard_ids) if len(shard_ids) > 1 else []
    for start in range(0, len(ordered), CHUNK):
        chunk = shards.c.id.in_(ordered[start : start + CHUNK])
        connection.execute(select(shards.c.id).where(chunk).order_by(shards.c.id).with_for_update()).all()


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
            **FREED,
        )
    )
    return _leave(connection, held, statement, "done", None)


def fail(connection: Connection, held: Lease, error: str, delay_s: float) -> bool:
    """LEASED → PENDING after the shard's own failure, not to be tried again before `delay_s` have passed."""
    values = {"failures": shards.c.failures + 1, "error": error[:ERROR_CHARS], "not_before": now() + delay_s}
    statement = update(shards).where(_held(held)).values(state=ShardState.PENDING, **values, **FREED)
    return _leave(connection, held, statement, "failed", error)


def defer(connection: Connection, held: Lease, error: str, delay_s: float) -> bool:
    """LEASED → PENDING because the world was not ready; the shard itself is not to blame."""
    values = {"deferrals": shards.c.deferrals + 1, "error": error[:ERROR_CHARS], "not_before": now() + delay_s}
    statement = update(shards).where(_held(held)).values(state=ShardState.PENDING, **values, **FREED)
    return _leave(connection, held, statement, "deferred", error)


def split(connection: Connection, held: Lease, halves: Sequence[tuple[dict[str, Any], int]]) -> bool:
    """LEASED → SPLIT, and insert the halves (pieces, bytes) with every count at zero."""
    statement = update(shards).where(_held(held)).values(state=ShardState.SPLIT, finished_at=now(), **FREED)
    if not _leave(connection, held, statement, "split", None):
        return False
    connection.execute(dead_letters.delete().where(dead_letters.c.shard_id == held.shard_id))
    for half, (pieces, size_bytes) in enumerate(halves):
        connection.execute(insert(shards).values(**child(held, pieces, half), bytes=size_bytes))
    fault_points.reach("split.uncommitted")
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
        .values(state=ShardState.DEAD, finished_at=now(), documents_in=dead, dead=dead, **FREED)
    )
    return _leave(connection, held, statement, "dead", None)


#: What a shard loses together with its lease.
FREED: dict[str, Any] = {"token": None, "leased_by": None, "lease_until": None, "queued_at": None, "bytes_done": 0}


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


def free_lapsed(connection: Connection, ahead_s: float = 0.0) -> int:
    """LEASED → PENDING for every shard whose lease ran out, or will in the next `ahead_s` seconds; return how many."""
    return _lose(connection, shards.c.lease_until < now() + ahead_s)


def free_shard(connection: Connection, shard_id: int, worker_prefix: str, reason: str = FELL_SILENT) -> int:
    """LEASED → PENDING for a shard that one of these workers holds, and for all that the same process held with it.

    The reason, how the process ended, is kept with each of them.
    """
    holder = select(shards.c.leased_by).where(
        shards.c.id == shard_id,
        shards.c.state == ShardState.LEASED,
        shards.c.leased_by.startswith(worker_prefix, autoescape=True),
    )
    process = connection.scalar(holder)
    return _lose(connection, shards.c.leased_by == process, reason) if process is not None else 0


def free_worker(connection: Connection, worker_prefix: str, *, stopped: bool = False) -> int:
    """LEASED → PENDING for every shard of workers known to be dead; return how many.

    Of workers that were `stopped` on purpose no loss is counted: the shards are not to blame.
    """
    of_worker = shards.c.leased_by.startswith(worker_prefix, autoescape=True)
    return _lose(connection, of_worker, losses=0 if stopped else 1)


def _lose(connection: Connection, condition: Any, reason: str = FELL_SILENT, losses: int = 1) -> int:
    # Of a worker that was stopped on purpose there is nothing to tell.
    told = {"error": reason[:ERROR_CHARS]} if losses else {}
    lost = connection.execute(
        select(shards.c.id, shards.c.token)
        .where(shards.c.state == ShardState.LEASED, condition)
        .with_for_update(skip_locked=True)
    ).all()
    for row in lost:
        connection.execute(
            update(shards)
            .where(shards.c.id == row.id, shards.c.token == row.token)
            .values(state=ShardState.PENDING, losses=shards.c.losses + losses, **told, **FREED)
        )
        end_attempt(connection, row.id, row.token, "lost", told.get("error"))
    return len(lost)
