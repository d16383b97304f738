"""Counters of shards on both databases: right after every transition, never waited for, checked when a job ends.

That they are right after every other test too is seen to by the fixture that hands out the database.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, insert, select, text, update

from storage import job_ledger, jobs, ledger, progress
from storage.completion import advance_job
from storage.engine import open_engine, reading, transact
from storage.errors import UsageError
from storage.migrate import downgrade, upgrade
from storage.schema import corpora, job_progress, shards
from storage.schema import jobs as job_table
from storage.states import ShardState
from tests.support.builders import (
    LAPSED_S,
    call,
    finish,
    finish_all,
    lease,
    make_job,
    make_shards,
    outcome,
    shard_ids,
)

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

TOKENS = 9


def figures(engine: Engine, job_id: int) -> dict[str, int]:
    """Return a job's figures, after a look at whether the counters are right."""
    assert call(engine, progress.differences) == []
    return call(engine, jobs.figures, job_id)


def kept_rows(engine: Engine, job_id: int) -> int:
    """Return how many rows the counters of a job take."""
    with reading(engine) as connection:
        return len(connection.execute(select(job_progress).where(job_progress.c.job_id == job_id)).all())


def tamper(engine: Engine, job_id: int) -> None:
    """Make the counters of a job wrong, as only somebody with a console could."""
    transact(
        engine,
        lambda connection: connection.execute(
            update(job_progress).where(job_progress.c.job_id == job_id).values(tokens=job_progress.c.tokens + 1)
        ),
    )


def test_counters_follow_a_shard_through_all_its_states(engine: Engine) -> None:
    job_id = make_job(engine, 5)
    states = partial(call, engine, jobs.shard_states, job_id)
    first, second, third, *_ = call(engine, ledger.queue_due, job_id, 3)
    assert states() == {"QUEUED": 3, "PENDING": 2}
    held = lease(engine, first)
    call(engine, ledger.renew_all, [held], 60.0, {first: 60})
    running = figures(engine, job_id)
    assert (running["shards"], running["shards_running"], running["bytes_done"]) == (5, 1, 60)
    assert call(engine, ledger.fail, held, "ValueError: 坏", 0.0)
    assert (figures(engine, job_id)["failures"], figures(engine, job_id)["bytes_done"]) == (1, 0)
    assert call(engine, ledger.split, lease(engine, first), [({}, 50), ({}, 50)])
    assert (figures(engine, job_id)["shards"], figures(engine, job_id)["failures"]) == (6, 0)
    assert call(engine, ledger.bury, lease(engine, second), 1)
    lease(engine, third, lease_s=LAPSED_S)
    assert call(engine, ledger.free_lapsed) == 1
    assert figures(engine, job_id)["losses"] == 1
    finish_all(engine, job_id)
    done = figures(engine, job_id)
    assert (done["shards_done"], done["documents_in"], done["dead"], done["bytes_done"]) == (6, 16, 1, 500)
    assert states() == {"DONE": 5, "DEAD": 1, "SPLIT": 1}


def test_counters_follow_a_job_that_is_paused_cancelled_and_taken_up_again(engine: Engine) -> None:
    job_id = make_job(engine, 4)
    call(engine, ledger.queue_due, job_id, 4)
    assert call(engine, job_ledger.pause, job_id)
    assert call(engine, jobs.shard_states, job_id) == {"PENDING": 4}
    assert call(engine, job_ledger.resume, job_id)
    held = lease(engine, shard_ids(engine, job_id)[0])
    call(engine, ledger.fail, held, "坏", 0.0)
    lease(engine, held.shard_id)
    assert call(engine, job_ledger.cancel, job_id)
    assert figures(engine, job_id)["shards_running"] == 0
    assert call(engine, job_ledger.retry, job_id)
    assert figures(engine, job_id)["failures"] == 0


def test_what_is_rolled_back_was_never_counted(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    held = lease(engine, shard_ids(engine, job_id)[0])
    with engine.connect() as connection, connection.begin() as transaction:
        assert ledger.finish(connection, held, outcome())
        assert jobs.figures(connection, job_id)["shards_done"] == 1
        transaction.rollback()
    assert figures(engine, job_id)["shards_done"] == 0


@pytest.mark.postgres
def test_two_transactions_that_finish_shards_of_one_job_do_not_wait_for_each_other(postgres_database: str) -> None:
    # SQLite has one writer at a time in any case.
    engine = open_engine(postgres_database)
    job_id = make_job(engine, 3)
    first, second, third = (lease(engine, shard_id) for shard_id in shard_ids(engine, job_id))
    with engine.connect() as slow, slow.begin():
        assert ledger.finish(slow, first, outcome())
        with engine.connect() as quick, quick.begin():
            quick.execute(text("SET LOCAL lock_timeout = '1ms'"))
            assert ledger.finish(quick, second, outcome())
    assert figures(engine, job_id)["shards_done"] == 2
    # Who comes alone takes a row that is there.
    before = kept_rows(engine, job_id)
    assert call(engine, ledger.finish, third, outcome())
    assert kept_rows(engine, job_id) == before
    engine.dispose()


def test_a_job_that_ends_has_its_counters_in_one_row_a_kind(engine: Engine) -> None:
    job_id = make_job(engine, 3)
    finish_all(engine, job_id)
    call(engine, advance_job, job_id, merges=True)
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert kept_rows(engine, job_id) == 2
    assert figures(engine, job_id)["tokens"] == 3 * TOKENS


def test_wrong_counters_are_repaired_and_told_of_when_the_job_ends(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = make_job(engine, 2, operation="tokenize")
    finish_all(engine, job_id)
    tamper(engine, job_id)
    assert call(engine, jobs.figures, job_id)["tokens"] != 2 * TOKENS
    with caplog.at_level(logging.ERROR):
        assert call(engine, advance_job, job_id, merges=False)
    assert figures(engine, job_id)["tokens"] == 2 * TOKENS
    (record,) = [record for record in caplog.records if record.message == "progress.repaired"]
    assert "tokens is counted as" in record.__dict__["fault"]


def test_counters_that_are_right_are_not_told_of(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    job_id = make_job(engine, 2, operation="tokenize")
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=False)
    assert caplog.records == []


def test_a_difference_is_found_whichever_side_lacks_the_job(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    transact(engine, lambda connection: connection.execute(delete(job_progress)))
    assert any("pending is counted as 0 and is 2" in fault for fault in call(engine, progress.differences))
    call(engine, progress.settle, job_id)
    assert call(engine, progress.differences) == []


def test_totals_are_by_operation_and_never_fall(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    make_job(engine, 1, operation="tokenize")
    finish_all(engine, job_id)
    totals = {one.operation: one for one in call(engine, progress.totals_by_operation)}
    counted = totals["count"]
    assert (counted.shards, counted.bytes, counted.documents, counted.tokens) == (2, 200, 6, 2 * TOKENS)
    assert totals["tokenize"].shards == 0
    transact(engine, lambda connection: connection.execute(delete(shards).where(shards.c.job_id == job_id)))
    assert call(engine, jobs.figures, job_id)["shards"] == 0
    call(engine, progress.settle, job_id)
    assert call(engine, progress.totals_by_operation)[0] == counted


def test_what_was_taken_over_is_no_work_of_this_job(engine: Engine) -> None:
    first = make_job(engine, 1)
    finish_all(engine, first)
    (origin,) = shard_ids(engine, first)
    second = make_job(engine)
    make_shards(engine, second, 1, state=ShardState.DONE, origin_id=origin, documents_in=3, results=3, tokens=TOKENS)
    assert (figures(engine, second)["reused"], figures(engine, second)["documents_in"]) == (1, 3)
    (total,) = call(engine, progress.totals_by_operation)
    assert (total.shards, total.documents) == (1, 3)


def test_how_a_job_stands_is_known_without_its_shards(engine: Engine) -> None:
    job_id = make_job(engine, 3)
    lease(engine, shard_ids(engine, job_id)[0])
    assert call(engine, progress.standing_of, job_id) == progress.Standing("RUNNING", "count", 2, 0, 1)
    assert call(engine, progress.standing_of, make_job(engine)).pending == 0
    with pytest.raises(UsageError, match="there is no job 99"):
        call(engine, progress.standing_of, 99)


def test_many_jobs_are_shown_in_the_order_asked_for(engine: Engine) -> None:
    first, second = make_job(engine, 2), make_job(engine)
    finish(engine, shard_ids(engine, first)[0])
    views = call(engine, jobs.views, [second, first])
    assert [(view["id"], view["shards_done"], view["documents"]) for view in views] == [(second, 0, 0), (first, 1, 3)]
    with pytest.raises(UsageError, match="there is no job 77"):
        call(engine, jobs.views, [first, 77])


def test_an_upgrade_counts_the_shards_that_are_there_already(empty_engine: Engine) -> None:
    upgrade(empty_engine)
    downgrade(empty_engine, "0004")

    def earlier(connection: Connection) -> None:
        connection.execute(insert(corpora), [{"id": 1, "name": "旧", "created_at": 0.0}])
        job = {"corpus_id": 1, "operation": "count", "parameters": "{}", "fingerprint": "f", "state": "RUNNING"}
        connection.execute(insert(job_table), [{**job, "id": 1, "created_at": 0.0}])
        row = {"job_id": 1, "kind": "map", "bytes": 10, "documents_in": 2, "results": 2}
        connection.execute(
            insert(shards), [{**row, "state": "DONE", "origin_id": origin_id} for origin_id in (None, None, 7)]
        )
        connection.execute(insert(shards), [{**row, "state": "SPLIT"}])

    transact(empty_engine, earlier)
    upgrade(empty_engine)
    found = figures(empty_engine, 1)
    assert (found["shards"], found["documents_in"], found["reused"], found["bytes_done"]) == (3, 6, 1, 30)
    (total,) = call(empty_engine, progress.totals_by_operation)
    assert (total.shards, total.documents, total.bytes) == (2, 4, 20)
