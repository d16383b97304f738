"""Schedules on both databases: fired once, late, overlapping, missed, started by one and ended as their jobs end."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from storage import job_ledger, ledger, schedule_runs, schedules
from storage.engine import AnyRow, reading, transact
from storage.errors import UsageError
from storage.job_limits import limit_job
from storage.schedules import NewSchedule
from storage.schema import attempts
from storage.schema import schedule_runs as run_table
from storage.schema import schedules as schedule_table
from storage.states import JobState, RunState
from tests.support.builders import (
    at_once,
    call,
    change_job,
    clock,
    end,
    finish,
    job,
    lease,
    make_job,
    outcome,
    shard_ids,
    try_lease,
)
from tests.support.schedule_process import race
from workers.schedule_fire import fire_due, tend_schedules

DAY_S = 86400.0
#: How often a race is run here; the benchmark runs a thousand.
ROUNDS = 10


def add(engine: Engine, name: str = "nightly", **values: Any) -> int:
    given = {"corpus": "新闻", "operations": ["count"], "cron": "30 1 * * *", "timezone": "Asia/Shanghai", **values}
    return call(engine, schedules.add, NewSchedule(name=name, **given))


def lately() -> dict[str, str]:
    """Return a line that was due once in the last two minutes, and is not again today."""
    minute = datetime.fromtimestamp(time.time() - 60.0, UTC)
    return {"cron": f"{minute.minute} {minute.hour} * * *", "timezone": "UTC"}


def due_since(engine: Engine, late_s: float = 0.0, name: str = "nightly", **values: Any) -> float:
    """Have a schedule be due since that long; return when it was."""
    due_at = clock(engine) - late_s
    change = update(schedule_table).where(schedule_table.c.name == name).values(next_at=due_at, **values)
    transact(engine, lambda connection: connection.execute(change))
    return due_at


def runs(engine: Engine, name: str = "nightly") -> list[AnyRow]:
    """Return the runs of a schedule, the earliest first."""
    return call(engine, schedule_runs.history, name, 1000)[::-1]


def states(engine: Engine, name: str = "nightly") -> list[str]:
    return [run.state for run in runs(engine, name)]


def start(engine: Engine, run_id: int, *job_ids: int, document_limit: int | None = None) -> None:
    """Do what a worker does that starts a run."""
    held = call(engine, schedule_runs.claim, run_id)
    assert held is not None
    run = call(engine, schedule_runs.get, run_id)
    for job_id in job_ids:
        call(engine, schedule_runs.add_job, run, job_id, document_limit, joined=False)
    assert call(engine, schedule_runs.started, held)


def fire(engine: Engine) -> int:
    (run_id,) = fire_due(engine)
    return run_id


def test_what_is_due_fires_once_and_is_due_again_the_next_night(engine: Engine) -> None:
    add(engine, **lately())
    assert fire_due(engine) == []
    due_since(engine, 120.0)
    run_id = fire(engine)
    assert fire_due(engine) == []
    row = call(engine, schedules.get, "nightly")
    assert row.next_at > clock(engine)
    assert run_id in {run.id for run in runs(engine)}


def test_a_paused_schedule_fires_nothing_and_catches_nothing_up(engine: Engine) -> None:
    add(engine)
    assert call(engine, schedules.pause, "nightly")
    due_since(engine, 3600.0)
    assert fire_due(engine) == []
    assert call(engine, schedules.resume, "nightly")
    assert fire_due(engine) == []
    assert runs(engine) == []
    assert call(engine, schedules.lateness)[0].late_s == 0.0


def test_after_two_days_one_run_catches_up_and_the_others_are_missed(engine: Engine) -> None:
    add(engine, cron="0 * * * *", timezone="UTC", grace_s=6 * 3600.0)
    due_at = due_since(engine, 2 * DAY_S)
    run_id = fire(engine)
    found = runs(engine)
    assert states(engine) == [RunState.MISSED] * (len(found) - 1) + [RunState.RUNNING]
    assert found[-1].id == run_id
    assert 47 <= len(found) <= 49
    assert found[0].fire_time >= due_at
    assert all(run.fire_time % 3600 == 0 for run in found)
    assert clock(engine) - found[-1].fire_time < 3600
    assert "grace" in found[0].detail
    assert "took its place" in found[-2].detail


def test_what_is_older_than_its_grace_is_missed(engine: Engine) -> None:
    add(engine, cron="0 0 1 1 *", timezone="UTC", grace_s=3600.0)
    due_since(engine, 400 * DAY_S)
    assert fire_due(engine) == []
    assert set(states(engine)) == {RunState.MISSED}


def test_a_minute_line_that_was_down_for_long_writes_no_flood_of_rows(engine: Engine) -> None:
    add(engine, cron="* * * * *", timezone="UTC", grace_s=600.0)
    due_since(engine, 30 * DAY_S)
    fire(engine)
    assert len(runs(engine)) <= schedule_runs.MISSED_ROWS + 11


def test_a_run_that_overlaps_is_skipped_and_says_why(engine: Engine) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    start(engine, fire(engine), make_job(engine, 1))
    due_since(engine, 120.0)
    forget_last_minute(engine)
    assert fire_due(engine) == []
    assert states(engine)[-1] == RunState.SKIPPED
    assert "still went on" in runs(engine)[-1].detail


def forget_last_minute(engine: Engine) -> None:
    """Have the runs so far be of another time, so that this minute can be due anew."""
    change = update(run_table).where(run_table.c.fire_time > 0).values(fire_time=-run_table.c.id)
    transact(engine, lambda connection: connection.execute(change))


def test_of_runs_that_overlap_one_waits_and_begins_when_the_other_has_ended(engine: Engine) -> None:
    add(engine, **lately(), overlap="queue")
    due_since(engine, 120.0)
    job_id = make_job(engine, 1)
    start(engine, fire(engine), job_id)
    for _ in range(2):
        forget_last_minute(engine)
        due_since(engine, 120.0)
        assert fire_due(engine) == []
    assert sorted(states(engine)) == [RunState.RUNNING, RunState.SKIPPED, RunState.WAITING]
    call(engine, job_ledger.cancel, job_id)
    tend_schedules(engine, None)
    assert sorted(states(engine)) == [RunState.CANCELLED, RunState.RUNNING, RunState.SKIPPED]


def test_a_run_whose_hour_is_over_already_is_missed(engine: Engine) -> None:
    add(engine, cron="0 1 * * *", timezone="UTC", grace_s=30 * DAY_S, finish_by="00:00")
    with reading(engine) as connection:
        schedule = connection.execute(select(schedule_table)).one()
    state, detail = call(
        engine,
        schedule_runs._first_state,
        schedule,
        clock(engine) - 3 * DAY_S,
        clock(engine),
    )
    assert (state, str(detail)[:6]) == (RunState.MISSED, "nobody")


def test_asked_for_by_hand_it_runs_at_once_and_not_twice(engine: Engine) -> None:
    add(engine)
    row = call(engine, schedules.get, "nightly")
    run_id = call(engine, schedule_runs.fire_now, row)
    assert runs(engine)[0].trigger == "manual"
    with pytest.raises(UsageError, match="still goes on"):
        call(engine, schedule_runs.fire_now, row)
    start(engine, run_id, make_job(engine))
    assert call(engine, schedule_runs.claim, run_id) is None


@pytest.mark.parametrize(
    ("ended", "expected"),
    [
        (["DONE", "DONE"], "DONE"),
        (["DONE", "DONE_WITH_DEAD"], "DONE_WITH_DEAD"),
        (["STOPPED", "DONE_WITH_DEAD"], "STOPPED"),
        (["STOPPED", "CANCELLED"], "CANCELLED"),
        (["FAILED", "CANCELLED"], "FAILED"),
        (["DONE", "RUNNING"], "RUNNING"),
    ],
)
def test_a_run_ends_as_the_worst_of_its_jobs(engine: Engine, ended: list[str], expected: str) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    made = [make_job(engine, fingerprint=f"{number:032}") for number in range(len(ended))]
    start(engine, fire(engine), *made)
    for job_id, state in zip(made, ended, strict=True):
        change_job(engine, job_id, state=state, finished_at=None if state == "RUNNING" else 1000.0, reason=state)
    tend_schedules(engine, None)
    (run,) = runs(engine)
    assert run.state == expected
    if expected != "RUNNING":
        assert run.finished_at == 1000.0
        assert expected in run.detail


def test_a_starter_that_died_is_followed_by_another_and_five_are_enough(engine: Engine) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    run_id = fire(engine)
    for _ in range(schedule_runs.MAX_STARTS):
        held = call(engine, schedule_runs.claim, run_id)
        assert held is not None
        assert call(engine, schedule_runs.claim, run_id) is None
        tend_schedules(engine, None)
        silence(engine)
        assert call(engine, schedule_runs.runs_to_start) == [run_id]
    tend_schedules(engine, None)
    assert states(engine) == [RunState.FAILED]
    assert not call(engine, schedule_runs.started, held)


@pytest.mark.parametrize(("waited_s", "pause_s"), [(0.0, 2.0), (20.0, 10.0), (600.0, 30.0)])
def test_a_start_that_the_world_was_not_ready_for_is_tried_again_soon_and_then_more_seldom(
    engine: Engine, waited_s: float, pause_s: float
) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    run_id = fire(engine)
    since = clock(engine) - waited_s
    transact(engine, lambda connection: connection.execute(update(run_table).values(created_at=since)))
    held = call(engine, schedule_runs.claim, run_id)
    assert held is not None
    before = clock(engine)
    assert call(engine, schedule_runs.release, held, "no such directory")
    after = clock(engine)
    (run,) = runs(engine)
    # Half of what went by meanwhile may come to the pause.
    assert before + pause_s <= run.starter_until <= after + pause_s + (after - since - waited_s) / 2
    assert (run.starts, run.detail) == (0, "no such directory")
    assert call(engine, schedule_runs.runs_to_start) == []


def silence(engine: Engine) -> None:
    """Have whoever starts a run be silent for too long."""
    transact(engine, lambda connection: connection.execute(update(run_table).values(starter_until=0.0)))


def test_late_is_what_is_due_and_has_not_begun(engine: Engine) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    (late,) = call(engine, schedules.lateness)
    assert 120.0 <= late.late_s < 180.0
    run_id = fire(engine)
    assert call(engine, schedules.lateness)[0].late_s > 0.0
    job_id = make_job(engine)
    start(engine, run_id, job_id)
    assert call(engine, schedules.lateness)[0].late_s == 0.0
    change_job(engine, job_id, state=JobState.DONE, finished_at=2000.0)
    tend_schedules(engine, None)
    (late,) = call(engine, schedules.lateness)
    assert (late.outcome, late.finished_at, late.paused) == ("DONE", 2000.0, False)


def test_a_schedule_that_is_removed_leaves_its_history(engine: Engine) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    fire(engine)
    call(engine, schedules.remove, "nightly")
    tend_schedules(engine, None)
    assert states(engine) == [RunState.CANCELLED]
    with pytest.raises(UsageError, match="there is no schedule 'nightly'"):
        call(engine, schedules.get, "nightly")


def test_a_name_is_taken_once(engine: Engine) -> None:
    add(engine)
    with pytest.raises(UsageError, match="already"):
        add(engine)


def test_any_number_of_beats_fires_a_run_once(engine: Engine) -> None:
    add(engine, **lately(), overlap="queue")
    for _ in range(ROUNDS):
        forget_last_minute(engine)
        due_since(engine, 120.0)
        transact(engine, lambda connection: connection.execute(update(run_table).values(state=RunState.DONE)))
        fired = at_once([partial(fire_due, engine)] * 3)
        assert len([run_id for ids in fired for run_id in ids]) == 1
        assert len([run for run in runs(engine) if run.state == RunState.RUNNING]) == 1


@pytest.mark.timeout(300)
def test_beats_in_processes_of_their_own_fire_a_run_once(database_url: str) -> None:
    assert race(database_url, rounds=20, beats=2, seed=7) == [1] * 20


def test_a_run_is_started_by_one_of_many(engine: Engine) -> None:
    add(engine, **lately())
    due_since(engine, 120.0)
    run_id = fire(engine)
    claims = at_once([partial(call, engine, schedule_runs.claim, run_id)] * 4)
    assert len([held for held in claims if held is not None]) == 1


def limited(engine: Engine, shard_count: int, limit: int | None = None, stop_s: float | None = None) -> int:
    """Return a job with shards of 100 bytes that keeps to limits."""
    job_id = make_job(engine, shard_count)
    stop_at = None if stop_s is None else clock(engine) + stop_s
    call(engine, limit_job, job_id, limit, stop_at, "Asia/Shanghai")
    return job_id


def test_a_limit_lets_one_shard_tell_how_many_documents_there_are_in_one(engine: Engine) -> None:
    job_id = limited(engine, 6, limit=7)
    assert call(engine, ledger.queue_due, job_id, 100) == shard_ids(engine, job_id)[:1]
    first, second, third, *others = shard_ids(engine, job_id)
    held = lease(engine, first)
    assert try_lease(engine, second) is None
    assert call(engine, ledger.finish, held, outcome(documents=3))
    # Three are computed, and three to a shard: two more shards make nine, which is seven at least.
    assert call(engine, ledger.queue_due, job_id, 100) == [second, third]
    lease(engine, second)
    lease(engine, third)
    assert [try_lease(engine, one) for one in others] == [None] * 3


def test_a_job_that_reached_its_limit_is_stopped_and_says_so(engine: Engine) -> None:
    job_id = limited(engine, 3, limit=3)
    first, second, _ = shard_ids(engine, job_id)
    finish(engine, first)
    assert try_lease(engine, second) is None
    (spent,) = call(engine, job_ledger.stop_spent)
    assert (spent.job_id, spent.reason) == (job_id, "limit reached: 3 documents computed of 3; the next run goes on")
    assert job(engine, job_id).state == JobState.STOPPED
    assert call(engine, job_ledger.retry, job_id)
    assert try_lease(engine, second) is not None


def test_a_limit_that_all_documents_keep_to_stops_nothing(engine: Engine) -> None:
    job_id = limited(engine, 2, limit=6)
    finish(engine, shard_ids(engine, job_id)[0])
    finish(engine, shard_ids(engine, job_id)[1])
    assert call(engine, job_ledger.stop_spent) == []
    assert end(engine, job_id)


def test_many_workers_at_once_keep_to_a_limit_together(engine: Engine) -> None:
    job_id = limited(engine, 12, limit=9)
    first, *others = shard_ids(engine, job_id)
    finish(engine, first)
    held = at_once([partial(try_lease, engine, one) for one in others])
    assert len([one for one in held if one is not None]) == 2


def test_shards_leased_together_keep_to_a_limit(engine: Engine) -> None:
    job_id = limited(engine, 12, limit=9)
    finish(engine, shard_ids(engine, job_id)[0])
    first = lease(engine, shard_ids(engine, job_id)[1])
    more = call(engine, ledger.lease_companions, first, "worker-1", 60.0, max_bytes=10_000, max_shards=100)
    assert len(more) == 1


def test_at_its_hour_a_job_is_stopped_and_what_ran_commits_nothing(engine: Engine) -> None:
    job_id = limited(engine, 2, stop_s=3600.0)
    held = lease(engine, shard_ids(engine, job_id)[0])
    assert call(engine, job_ledger.stop_spent) == []
    call(engine, limit_job, job_id, None, clock(engine) - 1.0, "Asia/Shanghai")
    (spent,) = call(engine, job_ledger.stop_spent)
    assert "its time was up at 20" in spent.reason
    assert "+08:00" in spent.reason
    assert not call(engine, ledger.finish, held, outcome())
    assert job(engine, job_id).state == JobState.STOPPED


def test_before_its_hour_nothing_is_leased_that_would_not_end_in_time(engine: Engine) -> None:
    job_id = limited(engine, 3, stop_s=1000.0)
    first, second, third = shard_ids(engine, job_id)
    finish(engine, first)
    held = lease(engine, second)
    # The first took 800 s, as its attempt says: half of the time is what may be given up for that at most.
    took = update(attempts).where(attempts.c.shard_id == first).values(started_at=attempts.c.finished_at - 800.0)
    transact(engine, lambda connection: connection.execute(took))
    change_job(engine, job_id, created_at=clock(engine) - 2000.0)
    assert call(engine, job_ledger.stop_spent) == []
    assert try_lease(engine, third) is None
    assert call(engine, ledger.queue_due, job_id, 100) == []
    assert call(engine, ledger.finish, held, outcome())
    (spent,) = call(engine, job_ledger.stop_spent)
    assert spent.reason.startswith("it stopped in time for ")
    assert job(engine, job_id).state == JobState.STOPPED
