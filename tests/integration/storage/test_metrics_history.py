"""What the exporter reads of the past: sums that take in every attempt once, also those that commit late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Engine, insert, update

from storage import batch_runs, job_ledger, ledger
from storage.batch_runs import BatchRun
from storage.engine import reading, transact
from storage.metrics_history import BUCKETS_S, SETTLED_AFTER_S, AttemptHistory, RunHistory
from storage.schema import attempts
from storage.schema import batch_runs as run_table
from storage.states import JobState
from tests.support.builders import call, clock, finish, lease, make_job, shard_ids

RUN = BatchRun(
    operation="summarize",
    fingerprint="f" * 32,
    model="m" * 64,
    device="cuda:0",
    shards=2,
    documents=10,
    batches=4,
    tokens=900,
    padded_tokens=1000,
    batch_fill=0.5,
    token_budget=512,
    out_of_memory=1,
    elapsed_s=8.0,
    forward_s=5.0,
    waiting_s=2.0,
    writing_s=1.0,
)


def insert_attempts(engine: Engine, job_id: int, ended: Sequence[tuple[float, float, str]]) -> None:
    """Write attempts that took some seconds, ended so long ago, with an outcome."""
    moment = clock(engine)
    rows = [
        {
            "shard_id": 1,
            "job_id": job_id,
            "number": 1,
            "token": "t" * 32,
            "worker": "w",
            "started_at": moment - ago_s - took_s,
            "finished_at": moment - ago_s,
            "outcome": outcome,
        }
        for took_s, ago_s, outcome in ended
    ]
    transact(engine, lambda connection: connection.execute(insert(attempts), rows))


def read(engine: Engine, history: AttemptHistory | RunHistory) -> None:
    with reading(engine) as connection:
        history.read(connection)


def test_attempts_are_counted_by_outcome_as_the_ledger_ended_them(engine: Engine) -> None:
    job_id = make_job(engine, 4)
    done, failed, lost, running = shard_ids(engine, job_id)
    finish(engine, done)
    assert call(engine, ledger.fail, lease(engine, failed), "broken", 0.0)
    lease(engine, lost, worker="gone/1/1")
    call(engine, ledger.free_worker, "gone/1/")
    lease(engine, running)
    history = AttemptHistory()
    read(engine, history)
    assert history.outcomes() == {("count", "done"): 1, ("count", "failed"): 1, ("count", "lost"): 1}


def test_old_and_new_attempts_are_counted_once_however_often_they_are_read(engine: Engine) -> None:
    job_id = make_job(engine)
    old_s = SETTLED_AFTER_S * 3
    insert_attempts(engine, job_id, [(1.0, old_s, "done"), (1.0, SETTLED_AFTER_S + 5, "done"), (1.0, 0.0, "done")])
    history = AttemptHistory()
    for _ in range(3):
        read(engine, history)
    assert history.outcomes() == {("count", "done"): 3}
    insert_attempts(engine, job_id, [(1.0, 0.0, "done")])
    read(engine, history)
    assert history.durations()["count"].count == 4


def test_an_attempt_whose_transaction_was_slow_is_counted_all_the_same(engine: Engine) -> None:
    job_id = make_job(engine)
    history = AttemptHistory()
    insert_attempts(engine, job_id, [(1.0, 0.0, "done")])
    read(engine, history)
    # It ended before the last reading, and is seen only now.
    insert_attempts(engine, job_id, [(1.0, SETTLED_AFTER_S / 2, "done")])
    read(engine, history)
    assert history.outcomes() == {("count", "done"): 2}


def test_a_fresh_exporter_arrives_at_the_same_numbers(engine: Engine) -> None:
    job_id = make_job(engine)
    insert_attempts(engine, job_id, [(number * 0.3, number * 20.0, "done") for number in range(30)])
    first, second = AttemptHistory(), AttemptHistory()
    for _ in range(2):
        read(engine, first)
    read(engine, second)
    assert first.outcomes() == second.outcomes()
    assert first.durations()["count"].at_most == second.durations()["count"].at_most
    assert first.durations()["count"].sum_s == pytest.approx(second.durations()["count"].sum_s)


def test_durations_fall_into_the_first_class_that_holds_them(engine: Engine) -> None:
    job_id = make_job(engine)
    # A clock that was set back makes the last one negative.
    took_s = [0.05, 0.2, 40.0, 10**6, -5.0]
    insert_attempts(engine, job_id, [(seconds, 0.0, "done") for seconds in took_s])
    insert_attempts(engine, job_id, [(40.0, 0.0, "failed")])
    history = AttemptHistory()
    read(engine, history)
    durations = history.durations()["count"]
    expected = tuple(sum(seconds <= end_s for seconds in took_s) for end_s in BUCKETS_S)
    assert (durations.at_most, durations.count) == (expected, 5)
    assert durations.sum_s == pytest.approx(0.05 + 0.2 + 40.0 + 10**6, abs=0.01)


def test_attempts_of_a_cancelled_job_are_counted(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    lease(engine, shard_ids(engine, job_id)[0])
    call(engine, job_ledger.cancel, job_id, JobState.CANCELLED)
    history = AttemptHistory()
    read(engine, history)
    assert history.outcomes() == {("count", "cancelled"): 1}


def test_runs_of_models_are_summed_by_operation_and_device_once_each(engine: Engine) -> None:
    call(engine, batch_runs.save, RUN)
    old = clock(engine) - 2 * SETTLED_AFTER_S
    transact(engine, lambda connection: connection.execute(update(run_table).values(finished_at=old)))
    call(engine, batch_runs.save, RUN)
    call(engine, batch_runs.save, replace(RUN, device="cpu", batch_fill=0.0))
    history = RunHistory()
    for _ in range(3):
        read(engine, history)
    call(engine, batch_runs.save, RUN)
    read(engine, history)
    sums = history.sums()
    assert sums["summarize", "cuda:0"]["documents"] == 30
    assert sums["summarize", "cuda:0"]["budget_positions"] == pytest.approx(6000)
    assert sums["summarize", "cuda:0"]["waiting_s"] == pytest.approx(6.0)
    # A run that computed nothing has no budget that was filled.
    assert (sums["summarize", "cpu"]["runs"], sums["summarize", "cpu"]["budget_positions"]) == (1, 0)
