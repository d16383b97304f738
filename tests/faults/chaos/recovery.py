"""Tells from the ledger how long work stood still after a fault. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sqlalchemy import Engine, select

from storage.engine import AnyRow, reading
from storage.schema import attempts, corpora, jobs
from tests.faults.chaos.stage import Struck


def recoveries(engine: Engine, corpus: str, struck: Sequence[Struck]) -> dict[int, float]:
    """Return how many seconds a fault cost, by its place: the longer of two times.

    One is from the fault to the next attempt at the last shard that it interrupted (which had begun before and came to
    no good end), the other the longest after the fault in which no attempt began although there was work. Only of a
    schedule's only fault: of several nobody knows which one interrupted what.
    """
    if len(struck) != 1:
        return {}
    columns = (attempts.c.shard_id, attempts.c.started_at, attempts.c.finished_at, attempts.c.outcome)
    of_corpus = (
        select(*columns)
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .join(corpora, corpora.c.id == jobs.c.corpus_id)
        .where(corpora.c.name == corpus)
        .order_by(attempts.c.started_at)
    )
    with reading(engine) as connection:
        rows = list(connection.execute(of_corpus))
    at = struck[0].at
    after = [row for row in rows if row.started_at > at]
    interrupted = {row.shard_id for row in rows if _is_interrupted(row, at)}
    again = [next((row.started_at for row in after if row.shard_id == shard_id), None) for shard_id in interrupted]
    times = [moment - at for moment in again if moment is not None]
    moments = [at, *(row.started_at for row in after)]
    times += [later - earlier for earlier, later in pairwise(moments)]
    return {0: max(times)} if times else {}


def _is_interrupted(row: AnyRow, at: float) -> bool:
    ended_before = row.finished_at is not None and row.finished_at <= at
    return row.started_at <= at and not ended_before and row.outcome != "done"
