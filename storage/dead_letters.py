"""Dead letters: what was set aside, with the place and the reason, and what becomes of it. Decides nothing itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select, update
from sqlalchemy.sql import func

from storage import job_views
from storage.asking import ConnectionAsker
from storage.engine import insert_new, now
from storage.ledger import Lease
from storage.schema import dead_letters, jobs, shards
from storage.states import JobState, ShardState

#: Longest key kept with a dead letter, in characters.
KEY_CHARS = 512
#: Longest explanation kept, in characters.
DETAIL_CHARS = 2000


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record, or a stretch of bytes that is none, that gave no result."""

    source_id: int
    source: str
    offset: int
    length: int
    reason: str
    detail: str
    line: int | None = None
    key: str | None = None
    document_id: int = 0


def save(connection: Connection, held: Lease, letters: Sequence[DeadLetter]) -> None:
    """Write the dead letters of an attempt; an earlier attempt at the same shard wrote the same ones."""
    created_at = connection.scalar(select(now()))
    rows = [
        {
            "job_id": held.job_id,
            "shard_id": held.shard_id,
            "source_id": letter.source_id,
            "source": letter.source,
            "line": letter.line,
            "offset": letter.offset,
            "length": letter.length,
            "document_id": letter.document_id,
            "key": _storable(letter.key, KEY_CHARS),
            "reason": letter.reason,
            "detail": _storable(letter.detail, DETAIL_CHARS) or "",
            "attempts": held.attempts,
            "state": "standing",
            "created_at": created_at,
        }
        for letter in letters
    ]
    insert_new(connection, dead_letters, rows)


def clear(connection: Connection, held: Lease) -> None:
    """Take back the letters that earlier attempts at a shard wrote."""
    connection.execute(dead_letters.delete().where(dead_letters.c.shard_id == held.shard_id))


def _storable(text: str | None, chars: int) -> str | None:
    """Return a text that every database takes: the very faults it tells of must not stop it."""
    if text is None:
        return None
    return text[:chars].replace("\x00", "\\0").encode("utf-8", "backslashreplace").decode()


def list_letters(connection: Connection, job_id: int | None, limit: int | None = None) -> list[dict[str, Any]]:
    """Return standing dead letters, of one job or of all, in the order of their places."""
    return job_views.letters(ConnectionAsker(connection), job_id, limit)


def count_by_reason(connection: Connection, job_id: int) -> dict[str, int]:
    """Return how many dead letters of a job stand, by reason."""
    statement = (
        select(dead_letters.c.reason, func.count())
        .where(dead_letters.c.job_id == job_id, dead_letters.c.state == "standing")
        .group_by(dead_letters.c.reason)
        .order_by(dead_letters.c.reason)
    )
    return dict(connection.execute(statement).all())


def discard(connection: Connection, job_id: int) -> int:
    """Accept the loss of a job's standing dead letters; return how many."""
    statement = (
        update(dead_letters)
        .where(dead_letters.c.job_id == job_id, dead_letters.c.state == "standing")
        .values(state="discarded")
    )
    return connection.execute(statement).rowcount


def standing(connection: Connection, job_id: int) -> int:
    """Return how many dead letters of a job wait for replay or discard."""
    return job_views.standing_letters(ConnectionAsker(connection), job_id)


def replayable(connection: Connection, job_id: int) -> bool:
    """Say whether a job is in a state from which its dead letters can be run again."""
    statement = select(jobs.c.state).where(jobs.c.id == job_id)
    return connection.scalar(statement) in {JobState.DONE_WITH_DEAD, JobState.RUNNING}


__all__ = ["DeadLetter", "ShardState", "count_by_reason", "discard", "list_letters", "replayable", "save", "shards"]
