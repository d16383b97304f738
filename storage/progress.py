"""What jobs have come to, from the counters that the database keeps beside their shards; see `progress_triggers`.

Costs the same for ten shards and for ten million. Changes nothing, but that `settle` counts a job that ends once more,
from the shards themselves, and puts its counters into one row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Connection, cast, delete, insert, literal_column, select
from sqlalchemy.sql import func

from storage import job_views
from storage.asking import ConnectionAsker
from storage.errors import UsageError
from storage.progress_triggers import EVER, LEVELS, of_row
from storage.schema import job_progress, jobs, shards


@dataclass(frozen=True, slots=True)
class OperationTotals:
    """What all jobs of one operation have computed since ever: every figure only grows.

    What was taken over from an earlier job was not computed again and does not count; a document that is computed twice
    (a dead letter that was replayed) counts twice.
    """

    operation: str
    shards: int
    bytes: int
    documents: int
    tokens: int
    dead: int
    failures: int
    losses: int


def totals_by_operation(connection: Connection) -> list[OperationTotals]:
    """Return what was computed since ever, by operation; one row a job is read, or a few while it runs."""
    sums = [_sum(name) for name in _TOTALS]
    statement = (
        select(jobs.c.operation, *sums)
        .join(job_progress, job_progress.c.job_id == jobs.c.id)
        .group_by(jobs.c.operation)
        .order_by(jobs.c.operation)
    )
    return [OperationTotals(*row) for row in connection.execute(statement)]


#: The columns of the totals, in the order of the fields.
_TOTALS = (
    "computed_shards",
    "computed_bytes",
    "computed_documents",
    "computed_tokens",
    "dead_ever",
    "failures_ever",
    "losses_ever",
)


def shards_by_state(connection: Connection, job_ids: Sequence[int]) -> dict[str, int]:
    """Return how many shards of some jobs, together, stand in each state; states without any are left out."""
    return job_views.shards_by_state(ConnectionAsker(connection), job_ids)


@dataclass(frozen=True, slots=True)
class Standing:
    """How a job stands, as far as letting its work go is concerned."""

    state: str
    operation: str
    pending: int
    queued: int
    leased: int


def standing_of(connection: Connection, job_id: int) -> Standing:
    """Return how a job stands, in one statement; raises `UsageError` when there is no such job."""
    counts = [func.coalesce(func.sum(job_progress.c[name]), 0) for name in ("pending", "queued", "leased")]
    statement = (
        select(jobs.c.state, jobs.c.operation, *counts)
        .outerjoin(job_progress, job_progress.c.job_id == jobs.c.id)
        .where(jobs.c.id == job_id)
        .group_by(jobs.c.id, jobs.c.state, jobs.c.operation)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise UsageError(job_views.no_such_job(job_id))
    return Standing(row[0], row[1], *map(int, row[2:]))


def sums_of(connection: Connection, job_ids: Sequence[int]) -> dict[int, dict[str, int]]:
    """Return, for every job, the sums over its shards; merge shards, which hold no documents, count in none."""
    return job_views.sums_of(ConnectionAsker(connection), job_ids)


def _sum(name: str) -> Any:
    # As an integer: PostgreSQL's sums of integers are decimal numbers, which take their time to read.
    return cast(func.sum(job_progress.c[name]), BigInteger)


def settle(connection: Connection, job_id: int) -> list[str]:
    """Count the shards of a job that has just ended, and make its counters say so, in one row a kind.

    Returns what was wrong with them: nothing, unless somebody changed rows behind the triggers' backs. Only to be
    called by who ended the job, in that transaction: nobody else can change its shards then.
    """
    counted = _counted(connection, job_id)
    faults = _faults(_kept(connection, job_id), counted)
    ever = [func.sum(job_progress.c[name]).label(name) for name in EVER]
    statement = select(job_progress.c.kind, *ever).where(job_progress.c.job_id == job_id)
    grown = {row["kind"]: row for row in connection.execute(statement.group_by(job_progress.c.kind)).mappings()}
    connection.execute(delete(job_progress).where(job_progress.c.job_id == job_id))
    rows = [
        {
            "job_id": job_id,
            "kind": kind,
            "slot": 0,
            **counted.get(kind, dict.fromkeys(LEVELS, 0)),
            **{name: int(grown[kind][name]) if kind in grown else 0 for name in EVER},
        }
        for kind in sorted({*counted, *grown})
    ]
    if rows:
        connection.execute(insert(job_progress), rows)
    return faults


def differences(connection: Connection) -> list[str]:
    """Return where counters differ from the shards they count, over all jobs; reads every shard."""
    job_ids = {*connection.scalars(select(shards.c.job_id).distinct())}
    job_ids.update(connection.scalars(select(job_progress.c.job_id).distinct()))
    return [f"job {job_id}: {fault}" for job_id in sorted(job_ids) for fault in differences_of(connection, job_id)]


def differences_of(connection: Connection, job_id: int) -> list[str]:
    """Return where the counters of one job differ from its shards; reads every one of them."""
    return _faults(_kept(connection, job_id), _counted(connection, job_id))


def _counted(connection: Connection, job_id: int) -> dict[str, dict[str, int]]:
    """Return the sums by kind as the shards themselves have them."""
    sums: list[Any] = [
        func.sum(literal_column(of_row(expression, shards.name))).label(name) for name, expression in LEVELS.items()
    ]
    statement = select(shards.c.kind, *sums).where(shards.c.job_id == job_id).group_by(shards.c.kind)
    return _by_kind(connection.execute(statement).mappings())


def _kept(connection: Connection, job_id: int) -> dict[str, dict[str, int]]:
    """Return the sums by kind as the counters have them."""
    sums = [func.sum(job_progress.c[name]).label(name) for name in LEVELS]
    statement = select(job_progress.c.kind, *sums).where(job_progress.c.job_id == job_id)
    return _by_kind(connection.execute(statement.group_by(job_progress.c.kind)).mappings())


def _by_kind(rows: Any) -> dict[str, dict[str, int]]:
    return {row["kind"]: {name: int(row[name]) for name in LEVELS} for row in rows}


def _faults(kept: Mapping[str, Mapping[str, int]], counted: Mapping[str, Mapping[str, int]]) -> list[str]:
    return [
        f"{kind} shards: {name} is counted as {kept.get(kind, {}).get(name, 0)} and is {right}"
        for kind in sorted({*kept, *counted})
        for name in LEVELS
        if kept.get(kind, {}).get(name, 0) != (right := counted.get(kind, {}).get(name, 0))
    ]
