"""Jobs as others find them on both databases: due for planning, open to documents, in a list, with their figures."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from storage import job_ledger, jobs, ledger
from storage.errors import UsageError
from storage.states import JobState, ShardState
from tests.support.builders import (
    FINGERPRINT,
    LAPSED_S,
    call,
    change_job,
    change_shard,
    end,
    finish_all,
    job,
    make_corpus,
    make_job,
    make_shards,
    shard_ids,
)


def start_planning(engine: Engine, job_id: int) -> str:
    planner = call(engine, job_ledger.start_planning, job_id)
    assert planner is not None
    return planner


class TestPlanningThatIsDue:
    """The reconciler plans what nobody else does."""

    def test_a_job_whose_planner_is_alive_is_left_to_it(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        start_planning(engine, job_id)
        assert call(engine, job_ledger.jobs_to_plan) == []

    def test_a_job_whose_planner_is_silent_is_planned(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        start_planning(engine, job_id)
        change_job(engine, job_id, planner_until=1.0)
        assert call(engine, job_ledger.jobs_to_plan) == [job_id]

    def test_a_job_whose_maker_died_before_planning_is_planned(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        assert call(engine, job_ledger.jobs_to_plan) == []
        change_job(engine, job_id, created_at=1.0)
        assert call(engine, job_ledger.jobs_to_plan) == [job_id]

    def test_an_open_job_is_planned_when_its_time_is_up(self, engine: Engine) -> None:
        still_open = make_job(engine, sealed=False, open_s=3600.0)
        due = make_job(engine, sealed=False, open_s=LAPSED_S)
        change_job(engine, still_open, created_at=1.0)
        assert call(engine, job_ledger.jobs_to_plan) == [due]

    @pytest.mark.parametrize("state", ["PAUSED", "CANCELLED", "DONE"])
    def test_a_job_that_does_not_run_is_not_planned(self, engine: Engine, state: str) -> None:
        job_id = make_job(engine, sealed=False, open_s=LAPSED_S)
        change_job(engine, job_id, state=state)
        assert call(engine, job_ledger.jobs_to_plan) == []

    def test_a_sealed_job_is_not_planned_again(self, engine: Engine) -> None:
        change_job(engine, make_job(engine), created_at=1.0)
        assert call(engine, job_ledger.jobs_to_plan) == []


class TestOpenJobs:
    """A job takes enqueued documents until it is sealed."""

    def test_producers_find_and_join_the_open_job_of_their_kind(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        job_id = make_job(engine, sealed=False, open_s=60.0)
        make_job(engine, sealed=False, open_s=60.0, fingerprint="e" * 32)
        make_job(engine, sealed=False, open_s=60.0, corpus="别的")
        assert call(engine, jobs.find_open, corpus_id, "count", FINGERPRINT) == job_id
        assert call(engine, jobs.find_open, corpus_id, "tokenize", FINGERPRINT) is None
        assert call(engine, job_ledger.join_open_job, job_id)

    def test_nobody_joins_once_planning_has_begun(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False, open_s=60.0)
        start_planning(engine, job_id)
        assert not call(engine, job_ledger.join_open_job, job_id)
        assert call(engine, jobs.find_open, make_corpus(engine), "count", FINGERPRINT) is None

    def test_nobody_joins_after_its_time(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False, open_s=LAPSED_S)
        assert not call(engine, job_ledger.join_open_job, job_id)


def test_jobs_run_by_priority_then_by_age(engine: Engine) -> None:
    low, first, second = make_job(engine), make_job(engine), make_job(engine)
    change_job(engine, first, priority=5)
    change_job(engine, second, priority=5)
    change_job(engine, make_job(engine), state=JobState.PAUSED)
    assert call(engine, job_ledger.active_jobs) == [first, second, low]


def test_shards_of_ended_jobs_burden_nobody(engine: Engine) -> None:
    running, cancelled = make_job(engine, 3), make_job(engine, 3)
    call(engine, ledger.queue_due, running, 2)
    call(engine, job_ledger.cancel, cancelled)
    assert len(call(engine, job_ledger.queued_shards)) == 2


def test_a_bulk_job_does_not_hold_producers_back(engine: Engine) -> None:
    bulk, feed = make_job(engine, 3), make_job(engine)
    assert call(engine, job_ledger.count_enqueued_unfinished, 100) == 0
    make_shards(engine, feed, 4, pieces='{"documents":[1]}')
    assert call(engine, job_ledger.count_enqueued_unfinished, 100) == 4
    assert call(engine, job_ledger.count_enqueued_unfinished, 2) == 2
    call(engine, job_ledger.cancel, feed)
    assert call(engine, job_ledger.count_enqueued_unfinished, 100) == 0
    assert job(engine, bulk).state == "RUNNING"


def test_a_job_is_shown_with_figures_that_add_up(engine: Engine) -> None:
    job_id = make_job(engine, 3)
    finish_all(engine, job_id)
    change_job(engine, job_id, identical=2, replaced=1)
    shown = call(engine, jobs.view, job_id)
    assert (shown["id"], shown["corpus"], shown["state"]) == (job_id, "新闻", "RUNNING")
    assert shown["documents"] == shown["results"] + shown["identical"] + shown["replaced"] + shown["dead"] == 9
    assert (shown["shards"], shown["shards_done"], shown["tokens"]) == (3, 3, 27)
    assert shown["elapsed_s"] >= 0


def test_a_job_that_is_not_there_is_a_usage_error_with_the_remedy(engine: Engine) -> None:
    with pytest.raises(UsageError, match="no job 4711; `hanmill jobs`"):
        call(engine, jobs.get, 4711)


def test_the_newest_finished_job_is_found_by_the_first_digits_of_its_fingerprint(engine: Engine) -> None:
    corpus_id = make_corpus(engine)
    other = make_job(engine, fingerprint="ab" * 16)
    older, newer = make_job(engine), make_job(engine)
    make_job(engine)
    for number, job_id in enumerate((other, older, newer)):
        end(engine, job_id)
        change_job(engine, job_id, finished_at=1000.0 + number)

    def newest(operation: str, fingerprint: str | None = None) -> int | None:
        row = call(engine, jobs.newest_complete, corpus_id, operation, fingerprint)
        return None if row is None else int(row.id)

    assert newest("count") == newer
    assert newest("count", "abab") == other
    assert newest("count", "a%") is None
    assert newest("tokenize") is None


def test_unfinished_jobs_are_listed_newest_first(engine: Engine) -> None:
    ended, paused, running = make_job(engine), make_job(engine), make_job(engine, corpus="别的")
    end(engine, ended)
    call(engine, job_ledger.pause, paused)
    assert call(engine, jobs.list_ids) == [running, paused, ended]
    assert call(engine, jobs.list_ids, unfinished=True) == [running, paused]
    assert call(engine, jobs.list_ids, corpus_id=make_corpus(engine)) == [paused, ended]
    assert call(engine, jobs.find_unfinished, make_corpus(engine), "count", FINGERPRINT) == paused


def test_shards_of_a_state_that_is_none_are_refused_by_the_database(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    assert ShardState.PENDING in call(engine, jobs.shard_states, job_id)
    with pytest.raises(IntegrityError, match=r"(?i)check constraint"):
        change_shard(engine, shard_ids(engine, job_id)[0], state="LOST")
