"""The statements that are run for every shard, and for every look at a job, find their rows by an index.

What each function sends is caught on its way to the database, and the database is asked for its plan of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event, select, text

from storage import inspection, job_ledger, jobs, ledger, progress
from storage.engine import load_rows, reading, transact
from storage.schema import attempts, shards
from tests.support.builders import call, lease, make_job, outcome

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: Enough that reading all of them would be a bad plan, and a small part of them waiting, as in the end of a long job.
DONE = 5000
WAITING = 600
CHANGES = ("SELECT", "UPDATE", "DELETE")
#: What a plan says of reading a whole table of shards or attempts.
WHOLE_TABLE = re.compile(r"Seq Scan on (shards|attempts)\b|SCAN (shards|attempts)(?! USING)")


@pytest.fixture
def job_id(engine: Engine) -> int:
    """Return a large job beside another, with shards in every state, that the database knows the proportions of."""
    made = make_job(engine, operation="tokenize")
    other = make_job(engine)

    def fill(connection: Connection) -> None:
        names = ("job_id", "kind", "state", "bytes", "digest")
        for one in (other, made):
            for state, number in (("DONE", DONE), ("PENDING", WAITING)):
                load_rows(connection, shards, names, ((one, "map", state, 100, bytes(32)) for _ in range(number)))
        tried = ((number, made, 1, "t", "w", 0.0) for number in range(DONE))
        load_rows(connection, attempts, ("shard_id", "job_id", "number", "token", "worker", "started_at"), tried)
        connection.execute(text("ANALYZE"))

    transact(engine, fill)
    return made


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[tuple[str, Any]]]:
    """Yield a list that every statement goes into with its parameters."""
    found: list[tuple[str, Any]] = []

    def note(*sent: Any) -> None:
        if sent[2].startswith(CHANGES) and not sent[5]:
            found.append((sent[2], sent[3]))

    event.listen(engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        event.remove(engine, "before_cursor_execute", note)


def plans(engine: Engine, work: Callable[[Connection], Any]) -> dict[str, str]:
    """Run a function and return the plan of each of its statements."""
    with statements_of(engine) as sent:
        transact(engine, work)
    explain = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with reading(engine) as connection:
        return {
            statement: "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", values))
            for statement, values in sent
        }


def assert_indexed(engine: Engine, work: Callable[[Connection], Any], at_least: int = 1) -> None:
    """Check that no statement of a function reads a whole table of shards or attempts."""
    found = plans(engine, work)
    assert len(found) >= at_least
    for statement, plan in found.items():
        assert not WHOLE_TABLE.search(plan), f"{statement}\n{plan}"


def test_what_reads_a_whole_table_is_noticed(engine: Engine, job_id: int) -> None:
    with pytest.raises(AssertionError, match="shards"):
        assert_indexed(
            engine, lambda connection: connection.execute(select(shards.c.id).where(shards.c.bytes == job_id))
        )


def test_shards_are_queued_leased_and_finished_by_an_index(engine: Engine, job_id: int) -> None:
    assert_indexed(engine, lambda connection: ledger.queue_due(connection, job_id, 256), 2)
    first, second, third, *_ = call(engine, ledger.queue_due, job_id, 300)
    assert_indexed(engine, lambda connection: ledger.lease(connection, first, "w/1/1", 60.0))
    held = lease(engine, second)
    assert_indexed(engine, lambda connection: ledger.renew_all(connection, [held], 60.0, {second: 1}))
    assert_indexed(engine, lambda connection: ledger.finish(connection, held, outcome()), 2)
    failing = lease(engine, third)
    assert_indexed(engine, lambda connection: ledger.fail(connection, failing, "坏", 0.0), 2)


def test_companions_are_found_by_an_index(engine: Engine, job_id: int) -> None:
    (first, *_) = call(engine, ledger.queue_due, job_id, 10)
    held = lease(engine, first)
    limits = {"max_bytes": 1000, "max_shards": 5}
    assert_indexed(engine, lambda connection: ledger.lease_companions(connection, held, "w", 60.0, **limits), 3)


def test_lapsed_leases_and_ended_jobs_are_found_by_an_index(engine: Engine, job_id: int) -> None:
    (first, *_) = call(engine, ledger.queue_due, job_id, 10)
    lease(engine, first)
    assert_indexed(engine, ledger.free_lapsed)
    assert_indexed(engine, lambda connection: connection.scalar(select(job_ledger.unfinished(job_id))))


def test_a_job_is_looked_at_without_its_shards(engine: Engine, job_id: int) -> None:
    assert_indexed(engine, lambda connection: jobs.view(connection, job_id), 2)
    assert_indexed(engine, lambda connection: jobs.shard_states(connection, job_id))
    assert_indexed(engine, lambda connection: progress.standing_of(connection, job_id))
    assert_indexed(engine, progress.totals_by_operation)
    assert_indexed(engine, lambda connection: inspection.last_errors(connection, job_id))
    assert_indexed(engine, inspection.operations_waiting)
