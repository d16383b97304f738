"""The limits that a job keeps to: so many documents, and an hour at which it stops. Most jobs have none.

What is leased may end; so that it does in time, leasing stops before the hour, by what the job's shards took so far.
A job that reached a limit ends as STOPPED with the reason; the next one takes over what it computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, exists, or_, select, update
from sqlalchemy.sql import func

from storage.cron_times import in_zone
from storage.engine import AnyRow, now, upsert
from storage.schema import attempts, job_limits, job_progress, jobs, shards
from storage.states import OPEN_JOB_STATES, UNFINISHED_SHARD_STATES, ShardState

#: Attempts that the time of a shard is taken from: the newest that were done.
TIMED_ATTEMPTS = 200
#: The longest of them, so many times over, must fit in before the hour …
MARGIN_FACTOR = 1.5
#: … but of a job's time no larger share is given up for that.
LARGEST_MARGIN_SHARE = 0.5


def limit_job(
    connection: Connection, job_id: int, document_limit: int | None, stop_at: float | None, timezone: str
) -> None:
    """Set a job's limits; None for each that it has not."""
    if document_limit is None and stop_at is None:
        return
    row = {
        "job_id": job_id,
        "document_limit": document_limit,
        "stop_at": stop_at,
        "lease_before": stop_at,
        "timezone": timezone,
    }
    upsert(connection, job_limits, [row], ["job_id"])


def unlimit_job(connection: Connection, job_id: int) -> bool:
    """Take a job's limits away, because somebody wants all of it."""
    return connection.execute(job_limits.delete().where(job_limits.c.job_id == job_id)).rowcount == 1


def unlimited() -> Any:
    """Return the condition on a shard that its job has no limit that stands in the way of leasing it."""
    return ~exists().where(
        job_limits.c.job_id == shards.c.job_id,
        or_(job_limits.c.lease_before <= now(), and_(job_limits.c.document_limit.is_not(None), shards.c.kind == "map")),
    )


def in_time() -> Any:
    """Return the condition on a shard that leasing of its job has not stopped."""
    return ~exists().where(job_limits.c.job_id == shards.c.job_id, job_limits.c.lease_before <= now())


@dataclass(slots=True)
class Room:
    """How many more documents a job may compute, as far as that can be known before its shards are read."""

    documents_left: float
    #: None as long as no shard of the job has been computed or was known: then one goes ahead, to tell.
    documents_per_byte: float | None
    #: Something of it is under way.
    is_busy: bool

    def take(self, shard: AnyRow) -> bool:
        """Say whether there is room for a shard (its kind, bytes and pieces), and give it the room."""
        if shard.kind != "map":
            return True
        documents = documents_in(shard, self.documents_per_byte)
        if self.documents_left <= 0 or (documents is None and self.is_busy):
            return False
        self.documents_left -= documents or 0.0
        self.is_busy = True
        return True


def documents_in(shard: AnyRow, documents_per_byte: float | None) -> float | None:
    """Return how many documents a shard has: exact where a producer gave them, else by its size; None when unknown."""
    if shard.pieces and shard.pieces.startswith('{"documents"'):
        return float(len(json.loads(shard.pieces)["documents"]))
    return None if documents_per_byte is None else shard.bytes * documents_per_byte


def has_document_limit() -> Any:
    """Return the condition on a shard that its job may compute so many documents only."""
    return exists().where(job_limits.c.job_id == shards.c.job_id, job_limits.c.document_limit.is_not(None))


def lock_room(connection: Connection, job_id: int, states: Iterable[ShardState]) -> Room | None:
    """Lock a job's limits and return its room, what stands in some states taken off; None when it has no such limit."""
    # Who leases locks the row, so that two do not take the same room.
    locked = update(job_limits).where(job_limits.c.job_id == job_id, job_limits.c.document_limit.is_not(None))
    statement = locked.values(document_limit=job_limits.c.document_limit).returning(job_limits.c.document_limit)
    limit = connection.scalar(statement)
    return None if limit is None else room_of(connection, job_id, limit, states)


def room_of(connection: Connection, job_id: int, limit: int, states: Iterable[ShardState]) -> Room:
    """Return what is left of a limit after what was computed and what stands in some states."""
    names = ("computed_documents", "documents_in", "bytes_done")
    sums = [func.coalesce(func.sum(job_progress.c[name]), 0) for name in names]
    counted = select(*sums).where(job_progress.c.job_id == job_id, job_progress.c.kind == "map")
    computed, known, known_bytes = connection.execute(counted).one()
    # What a running shard has read is in the bytes, and its documents are not: the ratio comes out a little low.
    per_byte = float(known) / float(known_bytes) if known and known_bytes else None
    room = Room(float(limit - computed), per_byte, is_busy=False)
    under_way = select(shards.c.kind, shards.c.bytes, shards.c.pieces).where(
        shards.c.job_id == job_id, shards.c.state.in_(list(states)), shards.c.kind == "map"
    )
    for shard in connection.execute(under_way):
        room.is_busy = True
        room.documents_left -= documents_in(shard, per_byte) or 0.0
    return room


@dataclass(frozen=True, slots=True)
class Spent:
    """A job that has reached a limit, and what is to be said of it."""

    job_id: int
    reason: str


def keep_limits(connection: Connection) -> list[Spent]:
    """Set anew until when each limited job leases, and return those that have reached a limit and are to be stopped."""
    statement = (
        select(job_limits, jobs.c.created_at)
        .join(jobs, jobs.c.id == job_limits.c.job_id)
        .where(jobs.c.state.in_(OPEN_JOB_STATES))
        .order_by(job_limits.c.job_id)
    )
    rows = connection.execute(statement).all()
    found = ((row.job_id, _out_of_time(connection, row) or _out_of_documents(connection, row)) for row in rows)
    return [Spent(job_id, reason) for job_id, reason in found if reason is not None]


def _out_of_time(connection: Connection, row: AnyRow) -> str | None:
    if row.stop_at is None:
        return None
    moment = float(connection.scalar(select(now())) or 0.0)
    hour = in_zone(row.stop_at, row.timezone)
    if moment >= row.stop_at:
        return f"its time was up at {hour}; what it had not written is left to the next run"
    lease_before = row.stop_at - _margin_s(connection, row)
    connection.execute(update(job_limits).where(job_limits.c.job_id == row.job_id).values(lease_before=lease_before))
    if moment < lease_before or _has_leased(connection, row.job_id):
        return None
    return f"it stopped in time for {hour}; what is left is left to the next run"


def _margin_s(connection: Connection, row: AnyRow) -> float:
    """Return how long before its hour a job stops leasing: as long as its shards take, but not half of its time."""
    took = (
        select((attempts.c.finished_at - attempts.c.started_at).label("took_s"))
        .where(attempts.c.job_id == row.job_id, attempts.c.outcome == "done")
        .order_by(attempts.c.id.desc())
        .limit(TIMED_ATTEMPTS)
        .subquery()
    )
    longest_s = float(connection.scalar(select(func.max(took.c.took_s))) or 0.0)
    time_s = max(0.0, float(row.stop_at) - float(row.created_at))
    return min(MARGIN_FACTOR * longest_s, LARGEST_MARGIN_SHARE * time_s)


def _has_leased(connection: Connection, job_id: int) -> bool:
    leased = exists().where(shards.c.job_id == job_id, shards.c.state == ShardState.LEASED)
    return bool(connection.scalar(select(leased)))


def _out_of_documents(connection: Connection, row: AnyRow) -> str | None:
    if row.document_limit is None:
        return None
    room = room_of(connection, row.job_id, row.document_limit, [ShardState.LEASED])
    left = exists().where(
        shards.c.job_id == row.job_id, shards.c.kind == "map", shards.c.state.in_(UNFINISHED_SHARD_STATES)
    )
    if room.documents_left > 0 or room.is_busy or not connection.scalar(select(left)):
        return None
    computed = round(row.document_limit - room.documents_left)
    return f"limit reached: {computed:,} documents computed of {row.document_limit:,}; the next run goes on"
