"""How the ledger stands at this moment, for the exporter: what waits and for how long, and how far jobs are.

Changes nothing, and reads counters and short stretches of indexes only: a million shards cost no more than a hundred.
What has happened since ever stands in `metrics_history` and `progress`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, text

from storage.engine import now
from storage.job_views import STATE_COLUMNS
from storage.schema import corpora, dead_letters, job_progress, jobs, shards
from storage.states import ACTIVE_JOB_STATES, OPEN_JOB_STATES, ShardState


@dataclass(frozen=True, slots=True)
class Waiting:
    """What of one operation's work has waited or run for longest, in seconds; None where there is none."""

    operation: str
    #: A message for it should stand in the queue.
    queued_s: float | None
    #: It could be put into the queue at once.
    due_s: float | None
    #: A worker holds it.
    leased_s: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the open jobs of one operation over one corpus are."""

    corpus: str
    operation: str
    shards: int
    ended_shards: int
    bytes: int
    bytes_done: int

    @property
    def ratio(self) -> float:
        """Return how much is done, from 0 to 1: of the bytes, or of the shards where they have none."""
        if self.bytes:
            return min(self.bytes_done / self.bytes, 1.0)
        return self.ended_shards / self.shards if self.shards else 0.0


def limit_statements(connection: Connection, timeout_s: float) -> None:
    """Have PostgreSQL give up a statement of this transaction that takes longer; a read of SQLite waits for nobody."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SET LOCAL statement_timeout = {int(timeout_s * 1000)}"))


def jobs_by_state(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many jobs there are, by (operation, state)."""
    statement = select(jobs.c.operation, jobs.c.state, func.count()).group_by(jobs.c.operation, jobs.c.state)
    return {(row[0], row[1]): row[2] for row in connection.execute(statement)}


def shards_by_state(connection: Connection) -> dict[tuple[str, str], int]:
    """Return how many shards there are, by (operation, state), of the jobs that go on; a paused one waits for nobody.

    Of an operation that has such a job every state is there, if only with 0.
    """
    sums = [func.coalesce(func.sum(job_progress.c[name]), 0) for name in STATE_COLUMNS.values()]
    statement = (
        select(jobs.c.operation, *sums)
        .outerjoin(job_progress, job_progress.c.job_id == jobs.c.id)
        .where(jobs.c.state.in_(ACTIVE_JOB_STATES))
        .group_by(jobs.c.operation)
    )
    return {
        (row[0], str(state)): int(number)
        for row in connection.execute(statement)
        for state, number in zip(STATE_COLUMNS, row[1:], strict=True)
    }


def waiting(connection: Connection) -> list[Waiting]:
    """Return, for every operation with a job that goes on, what has waited and run for longest."""
    # A subquery for each job: the index then leads to its few queued and leased shards, past the million of others.
    statement = select(
        jobs.c.operation,
        now().label("moment"),
        _oldest(func.min(shards.c.queued_at), ShardState.QUEUED).label("queued_at"),
        _oldest(func.min(shards.c.leased_at), ShardState.LEASED).label("leased_at"),
        _first_due().label("due_at"),
        jobs.c.created_at,
    ).where(jobs.c.state.in_(ACTIVE_JOB_STATES))
    found: dict[str, list[Any]] = {}
    for row in connection.execute(statement):
        found.setdefault(row.operation, []).append(row)
    return [
        Waiting(
            operation,
            queued_s=_longest((row.moment, row.queued_at) for row in rows),
            due_s=_longest(
                (row.moment, None if row.due_at is None else max(row.due_at, row.created_at)) for row in rows
            ),
            leased_s=_longest((row.moment, row.leased_at) for row in rows),
        )
        for operation, rows in sorted(found.items())
    ]


def _oldest(instant: Any, state: ShardState) -> Any:
    of_job = select(instant).where(shards.c.job_id == jobs.c.id, shards.c.state == state)
    return of_job.correlate(jobs).scalar_subquery()


def _first_due() -> Any:
    # Shards go in the order of their ids: the first one that may go has waited for longest.
    return (
        select(shards.c.not_before)
        .where(shards.c.job_id == jobs.c.id, shards.c.state == ShardState.PENDING, shards.c.not_before <= now())
        .order_by(shards.c.id)
        .limit(1)
        .correlate(jobs)
        .scalar_subquery()
    )


def _longest(spans: Any) -> float | None:
    return max((max(moment - since, 0.0) for moment, since in spans if since is not None), default=None)


def busy_processes(connection: Connection) -> dict[str, int]:
    """Return how many processes hold leased shards, by operation."""
    # Written out in the statement: only then SQLite sees that the index over leased shards has them all.
    is_leased = shards.c.state == bindparam("leased", str(ShardState.LEASED), literal_execute=True)
    statement = (
        select(jobs.c.operation, func.count(shards.c.leased_by.distinct()))
        .join(jobs, jobs.c.id == shards.c.job_id)
        .where(is_leased)
        .group_by(jobs.c.operation)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def progress_of_open_jobs(connection: Connection) -> list[Progress]:
    """Return how far all open jobs are, paused ones too, by corpus and operation, what has most left to do first."""
    of_map = job_progress.c.kind == "map"
    names = ("pending", "queued", "leased", "done", "buried", "bytes", "bytes_done")
    statement = (
        select(corpora.c.name, jobs.c.operation, *(func.coalesce(func.sum(job_progress.c[name]), 0) for name in names))
        .select_from(jobs)
        .join(corpora, corpora.c.id == jobs.c.corpus_id)
        .outerjoin(job_progress, (job_progress.c.job_id == jobs.c.id) & of_map)
        .where(jobs.c.state.in_(OPEN_JOB_STATES))
        .group_by(corpora.c.name, jobs.c.operation)
    )
    found = []
    for corpus, operation, *sums in connection.execute(statement):
        pending, queued, leased, done, buried, size_bytes, bytes_done = map(int, sums)
        ended = done + buried
        found.append(Progress(corpus, operation, pending + queued + leased + ended, ended, size_bytes, bytes_done))
    return sorted(found, key=lambda one: (one.bytes_done - one.bytes, one.corpus, one.operation))


def fold(found: Sequence[Progress], limit: int, other: str) -> list[Progress]:
    """Return the first `limit` of them, and the rest summed by operation as those of a corpus called `other`."""
    kept = list(found[:limit])
    rest: dict[str, list[Progress]] = {}
    for one in found[limit:]:
        rest.setdefault(one.operation, []).append(one)
    for operation, folded in sorted(rest.items()):
        names = ("shards", "ended_shards", "bytes", "bytes_done")
        kept.append(Progress(other, operation, *(sum(getattr(one, name) for one in folded) for name in names)))
    return kept


def standing_letters(connection: Connection) -> dict[str, int]:
    """Return how many dead letters wait for replay or discard, by reason."""
    # Written out, so that the index over standing letters serves.
    is_standing = dead_letters.c.state == bindparam("standing", "standing", literal_execute=True)
    statement = select(dead_letters.c.reason, func.count()).where(is_standing).group_by(dead_letters.c.reason)
    return {row[0]: row[1] for row in connection.execute(statement)}
