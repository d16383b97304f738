"""What the exporter reads of the present: what waits, for how long, how far open jobs are. On both databases."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, event, insert, text
from sqlalchemy.exc import OperationalError

from storage import job_ledger, ledger, metrics
from storage.engine import reading, transact
from storage.metrics import Progress
from storage.schema import dead_letters, shards
from storage.states import JobState
from tests.support.builders import call, change_job, change_shard, clock, finish, lease, make_job, shard_ids

ROWS = 4_000


def read(engine: Engine, function: Any) -> Any:
    with reading(engine) as connection:
        return function(connection)


def test_shards_are_counted_by_state_for_the_jobs_that_go_on(engine: Engine) -> None:
    running, paused = make_job(engine, 4), make_job(engine, 3, corpus="other")
    finish(engine, shard_ids(engine, running)[0])
    call(engine, ledger.queue_due, running, 2)
    change_job(engine, paused, state=JobState.PAUSED)
    counted = read(engine, metrics.shards_by_state)
    assert {state: number for (_, state), number in counted.items() if number} == {"PENDING": 1, "QUEUED": 2, "DONE": 1}
    assert read(engine, metrics.jobs_by_state) == {("count", "RUNNING"): 1, ("count", "PAUSED"): 1}


def test_the_oldest_that_waits_and_the_oldest_that_runs_have_their_age(engine: Engine) -> None:
    job_id = make_job(engine, 4)
    first, second, third, _ = shard_ids(engine, job_id)
    moment = clock(engine)
    change_job(engine, job_id, created_at=moment - 500)
    lease(engine, first)
    change_shard(engine, first, leased_at=moment - 300)
    call(engine, ledger.queue_due, job_id, 2)
    change_shard(engine, second, queued_at=moment - 200)
    change_shard(engine, third, queued_at=moment - 100)
    (found,) = read(engine, metrics.waiting)
    assert found.operation == "count"
    assert found.leased_s == pytest.approx(300, abs=30)
    assert found.queued_s == pytest.approx(200, abs=30)
    assert found.due_s == pytest.approx(500, abs=30)


def test_a_shard_that_may_not_go_yet_does_not_wait(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    change_shard(engine, shard_ids(engine, job_id)[0], not_before=clock(engine) + 1000)
    (found,) = read(engine, metrics.waiting)
    assert (found.queued_s, found.due_s, found.leased_s) == (None, None, None)


def test_processes_are_counted_once_however_many_shards_they_hold(engine: Engine) -> None:
    job_id = make_job(engine, 3)
    for number, shard_id in enumerate(shard_ids(engine, job_id)):
        lease(engine, shard_id, worker=f"w@host/1/{number % 2}")
    assert read(engine, metrics.busy_processes) == {"count": 2}


def test_open_jobs_have_their_progress_by_bytes_what_has_most_left_first(engine: Engine) -> None:
    almost, half = make_job(engine, 4, corpus="一"), make_job(engine, 8, corpus="二")
    for shard_id in shard_ids(engine, almost)[:3]:
        finish(engine, shard_id)
    for shard_id in shard_ids(engine, half)[:4]:
        finish(engine, shard_id)
    call(engine, job_ledger.cancel, make_job(engine, 2, corpus="三"), JobState.CANCELLED)
    found = read(engine, metrics.progress_of_open_jobs)
    assert found == [Progress("二", "count", 8, 4, 800, 400), Progress("一", "count", 4, 3, 400, 300)]
    assert [one.ratio for one in found] == [0.5, 0.75]


def test_jobs_of_one_corpus_and_operation_are_summed(engine: Engine) -> None:
    for fingerprint in ("a" * 32, "b" * 32):
        finish(engine, shard_ids(engine, make_job(engine, 2, fingerprint=fingerprint))[0])
    assert read(engine, metrics.progress_of_open_jobs) == [Progress("新闻", "count", 4, 2, 400, 200)]


def test_a_job_without_bytes_has_its_progress_by_shards() -> None:
    assert Progress("c", "count", 4, 1, 0, 0).ratio == 0.25
    assert Progress("c", "count", 0, 0, 0, 0).ratio == 0.0


def insert_letters(engine: Engine, job_id: int, reasons: list[str], state: str = "standing") -> None:
    rows = [
        {
            "job_id": job_id,
            "shard_id": 1,
            "source_id": 1,
            "source": "a.jsonl",
            "offset": number,
            "length": 1,
            "reason": reason,
            "detail": "",
            "attempts": 1,
            "state": state,
            "created_at": 0.0,
        }
        for number, reason in enumerate(reasons, start=0 if state == "standing" else 10**9)
    ]
    transact(engine, lambda connection: connection.execute(insert(dead_letters), rows))


def test_standing_dead_letters_are_counted_by_reason(engine: Engine) -> None:
    job_id = make_job(engine)
    insert_letters(engine, job_id, ["bad_json", "bad_json", "empty_text"])
    insert_letters(engine, job_id, ["bad_json"], "discarded")
    assert read(engine, metrics.standing_letters) == {"bad_json": 2, "empty_text": 1}


def test_standing_dead_letters_are_counted_without_reading_the_table(engine: Engine) -> None:
    insert_letters(engine, make_job(engine), ["bad_json"] * 50)
    insert_letters(engine, 1, ["bad_json"] * ROWS, "discarded")
    assert "ix_dead_letters_standing" in plan_of(engine, metrics.standing_letters)


def test_busy_processes_are_counted_without_reading_the_table(engine: Engine) -> None:
    job_id = make_job(engine, 3)
    lease(engine, shard_ids(engine, job_id)[0])
    rows = [{"job_id": job_id, "kind": "map", "state": "PENDING", "bytes": 1}] * ROWS
    transact(engine, lambda connection: connection.execute(insert(shards), rows))
    assert "ix_shards_lease_until" in plan_of(engine, metrics.busy_processes)


def plan_of(engine: Engine, function: Any) -> str:
    """Return how the database runs the statement of a function that has no bound values."""
    with engine.begin() as connection:
        connection.execute(text("ANALYZE"))
    executed: list[str] = []

    def remember(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    event.listen(engine, "before_cursor_execute", remember)
    read(engine, function)
    event.remove(engine, "before_cursor_execute", remember)
    ask = "EXPLAIN QUERY PLAN" if engine.dialect.name == "sqlite" else "EXPLAIN"
    with engine.connect() as connection:
        return "\n".join(str(row) for row in connection.exec_driver_sql(f"{ask} {executed[-1]}"))


def test_a_statement_that_takes_too_long_is_given_up_on_postgresql(postgres_database: str) -> None:
    from storage.engine import open_engine  # noqa: PLC0415

    engine = open_engine(postgres_database)
    with reading(engine) as connection:
        metrics.limit_statements(connection, 0.05)
        with pytest.raises(OperationalError, match="statement timeout"):
            connection.execute(text("SELECT pg_sleep(60)"))
    engine.dispose()
