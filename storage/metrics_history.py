"""What attempts and runs of models have come to since ever, for the exporter: sums that only grow.

Old rows are summed once and kept; those of the last minutes are summed anew at every reading. So a transaction that
was slow to commit is still counted, a reading costs as much as the last minutes brought, and a fresh process arrives
at the same numbers as long as the rows stay. Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, case, func, select

from storage.engine import now
from storage.schema import attempts, batch_runs, jobs

#: Seconds within which every transaction that ended an attempt has committed.
SETTLED_AFTER_S = 120.0
#: Upper ends of the classes of durations, in seconds; what took longer is in a last one without an end.
BUCKETS_S = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Durations:
    """How long something took: how often at most each of `BUCKETS_S`, how often in all, and the sum in seconds."""

    at_most: tuple[int, ...]
    count: int
    sum_s: float


Key = TypeVar("Key")


def _add(sums: dict[Key, float], more: Mapping[Key, float]) -> None:
    for key, number in more.items():
        sums[key] = sums.get(key, 0) + number


@dataclass(slots=True)
class _Ended:
    """Ended attempts by (operation, outcome, class of duration): how many, and their seconds."""

    numbers: dict[tuple[str, str, int], float] = field(default_factory=dict)
    seconds: dict[tuple[str, str, int], float] = field(default_factory=dict)

    def add(self, other: _Ended) -> None:
        _add(self.numbers, other.numbers)
        _add(self.seconds, other.seconds)


class AttemptHistory:
    """All attempts that have ended; belongs to one reader."""

    def __init__(self) -> None:
        self._settled = _Ended()
        self._settled_until = 0.0
        self._all = _Ended()

    def read(self, connection: Connection) -> None:
        """Take in what has ended since the last time; the first time reads everything."""
        settled_until = _settled_now(connection)
        if settled_until > self._settled_until:
            self._settled.add(_ended(connection, self._settled_until, settled_until))
            self._settled_until = settled_until
        fresh = _ended(connection, self._settled_until, None)
        fresh.add(self._settled)
        self._all = fresh

    def outcomes(self) -> dict[tuple[str, str], int]:
        """Return how many attempts ended, by (operation, outcome)."""
        found: dict[tuple[str, str], int] = {}
        for (operation, outcome, _), number in self._all.numbers.items():
            found[operation, outcome] = found.get((operation, outcome), 0) + int(number)
        return found

    def durations(self, outcome: str = "done") -> dict[str, Durations]:
        """Return how long attempts with some outcome took, by operation."""
        operations = sorted({key[0] for key in self._all.numbers if key[1] == outcome})
        found = {}
        for operation in operations:
            keys = [(operation, outcome, bucket) for bucket in range(len(BUCKETS_S) + 1)]
            at_most = tuple(accumulate(int(self._all.numbers.get(key, 0)) for key in keys))
            sum_s = sum(self._all.seconds.get(key, 0.0) for key in keys)
            found[operation] = Durations(at_most[:-1], at_most[-1], sum_s)
        return found


def _settled_now(connection: Connection) -> float:
    return float(connection.scalar(select(now())) or 0.0) - SETTLED_AFTER_S


def _ended(connection: Connection, after: float, until: float | None) -> _Ended:
    # A clock that was set back in between made no negative work.
    difference_s = attempts.c.finished_at - attempts.c.started_at
    taken_s = case((difference_s > 0, difference_s), else_=0.0)
    bucket = case(*((taken_s <= end_s, number) for number, end_s in enumerate(BUCKETS_S)), else_=len(BUCKETS_S))
    rows = (
        select(jobs.c.operation, attempts.c.outcome, bucket.label("bucket"), taken_s.label("taken_s"))
        .join(jobs, jobs.c.id == attempts.c.job_id)
        .where(attempts.c.finished_at > after, attempts.c.outcome.is_not(None))
    )
    if until is not None:
        rows = rows.where(attempts.c.finished_at <= until)
    ended = rows.subquery()
    key = (ended.c.operation, ended.c.outcome, ended.c.bucket)
    found = _Ended()
    summed = select(*key, func.count(), func.sum(ended.c.taken_s)).group_by(*key)
    for operation, outcome, number_of_bucket, number, seconds in connection.execute(summed):
        found.numbers[operation, outcome, number_of_bucket] = number
        found.seconds[operation, outcome, number_of_bucket] = seconds
    return found


#: The sums over the runs of one operation on one device.
Sums: TypeAlias = dict[str, float]


#: The sums of `RunHistory`, each with what it adds up.
_RUN_SUMS: dict[str, Any] = {
    "runs": func.count(),
    "documents": func.sum(batch_runs.c.documents),
    "batches": func.sum(batch_runs.c.batches),
    "text_positions": func.sum(batch_runs.c.tokens),
    "computed_positions": func.sum(batch_runs.c.padded_tokens),
    # What would have been computed had every batch been full.
    "budget_positions": func.sum(
        case((batch_runs.c.batch_fill > 0, batch_runs.c.padded_tokens / batch_runs.c.batch_fill))
    ),
    "out_of_memory": func.sum(batch_runs.c.out_of_memory),
    "elapsed_s": func.sum(batch_runs.c.elapsed_s),
    "forward_s": func.sum(batch_runs.c.forward_s),
    "waiting_s": func.sum(batch_runs.c.waiting_s),
    "writing_s": func.sum(batch_runs.c.writing_s),
}


class RunHistory:
    """All runs of model workers; belongs to one reader."""

    def __init__(self) -> None:
        self._settled: dict[tuple[str, str], Sums] = {}
        self._settled_id = 0
        self._all: dict[tuple[str, str], Sums] = {}

    def read(self, connection: Connection) -> None:
        """Take in what has ended since the last time."""
        is_new = batch_runs.c.id > self._settled_id
        is_settled = batch_runs.c.finished_at <= _settled_now(connection)
        settled_id = connection.scalar(select(func.max(batch_runs.c.id)).where(is_new, is_settled))
        if settled_id is not None:
            self._settled = _joined(self._settled, _runs(connection, is_new, batch_runs.c.id <= settled_id))
            self._settled_id = settled_id
        self._all = _joined(self._settled, _runs(connection, batch_runs.c.id > self._settled_id))

    def sums(self) -> Mapping[tuple[str, str], Sums]:
        """Return the sums by (operation, device): {("summarize", "cuda:0"): {"documents": 800, …}}."""
        return self._all


def _runs(connection: Connection, *conditions: Any) -> dict[tuple[str, str], Sums]:
    key = (batch_runs.c.operation, batch_runs.c.device)
    columns = [summed.label(name) for name, summed in _RUN_SUMS.items()]
    statement = select(*key, *columns).where(*conditions).group_by(*key)
    return {
        (row["operation"], row["device"]): {name: float(row[name] or 0) for name in _RUN_SUMS}
        for row in connection.execute(statement).mappings()
    }


def _joined(left: Mapping[tuple[str, str], Sums], right: Mapping[tuple[str, str], Sums]) -> dict[tuple[str, str], Sums]:
    found = {key: dict(sums) for key, sums in left.items()}
    for key, sums in right.items():
        _add(found.setdefault(key, {}), sums)
    return found
