"""The life of a job on both databases: sealed, merged, ended once; paused, resumed, cancelled, opened again."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import IntegrityError

from storage import dead_letters, jobs, ledger
from storage.completion import advance_job
from storage.dead_letters import DeadLetter
from storage.engine import reading
from storage.errors import UsageError
from storage.schema import attempts
from storage.schema import dead_letters as letter_table
from storage.states import JobState, ShardState
from storage.word_counts import current_generation
from tests.support.builders import (
    FINGERPRINT,
    LAPSED_S,
    call,
    change_job,
    change_shard,
    end,
    finish,
    finish_all,
    job,
    lease,
    make_corpus,
    make_job,
    make_shards,
    outcome,
    shard,
    shard_ids,
    try_lease,
)

LETTER = DeadLetter(1, "a.jsonl", 5, 3, "undecodable", "no UTF-8", line=2)


def start_planning(engine: Engine, job_id: int) -> str:
    planner = call(engine, ledger.start_planning, job_id)
    assert planner is not None
    return planner


def merging_job(engine: Engine, *, partitions: int = 2) -> int:
    """Return a job all of whose shards are done, and whose merge has begun."""
    job_id = make_job(engine, 2)
    change_job(engine, job_id, partitions=partitions)
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.MERGING
    return job_id


def test_a_new_job_is_being_planned_and_nothing_of_it_is_complete(engine: Engine) -> None:
    job_id = make_job(engine, sealed=False)
    assert job(engine, job_id).state == JobState.PLANNING
    assert not end(engine, job_id)


def test_shards_of_a_job_that_is_still_planned_run_already(engine: Engine) -> None:
    job_id = make_job(engine, 1, sealed=False)
    assert try_lease(engine, shard_ids(engine, job_id)[0]) is not None


def test_sealing_lets_a_job_run(engine: Engine) -> None:
    row = job(engine, make_job(engine, 1))
    assert row.state == JobState.RUNNING
    assert row.sealed_at is not None
    assert (row.planner, row.planner_until) == (None, None)


def test_a_planner_that_was_overtaken_cannot_seal(engine: Engine) -> None:
    job_id = make_job(engine, sealed=False)
    first = start_planning(engine, job_id)
    second = start_planning(engine, job_id)
    assert not call(engine, ledger.plans, job_id, first)
    assert not call(engine, ledger.seal, job_id, first)
    assert job(engine, job_id).state == JobState.PLANNING
    assert call(engine, ledger.seal, job_id, second)


def test_an_ended_job_is_not_planned_again(engine: Engine) -> None:
    job_id = make_job(engine)
    assert end(engine, job_id)
    assert call(engine, ledger.start_planning, job_id) is None


def test_planning_anew_takes_the_seal_off_so_that_the_job_cannot_end(engine: Engine) -> None:
    job_id = make_job(engine)
    planner = start_planning(engine, job_id)
    assert not end(engine, job_id)
    call(engine, ledger.seal, job_id, planner)
    assert end(engine, job_id)


def test_a_job_ends_only_when_every_shard_has_ended(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    first, second = shard_ids(engine, job_id)
    finish(engine, first)
    assert not end(engine, job_id)
    finish(engine, second)
    assert end(engine, job_id)
    row = job(engine, job_id)
    assert row.state == JobState.DONE
    assert row.finished_at >= row.created_at


def test_ending_a_job_has_one_winner(engine: Engine) -> None:
    job_id = make_job(engine)
    assert end(engine, job_id)
    assert not end(engine, job_id)


@pytest.mark.parametrize(
    ("letter_state", "job_state"),
    [("standing", "DONE_WITH_DEAD"), ("discarded", "DONE_WITH_DEAD"), ("replayed", "DONE")],
)
def test_dead_letters_that_were_not_replayed_show_in_the_state(
    engine: Engine, letter_state: str, job_state: str
) -> None:
    job_id = make_job(engine, 1)
    held = lease(engine, shard_ids(engine, job_id)[0])
    call(engine, dead_letters.save, held, [LETTER])
    call(engine, lambda connection: connection.execute(update(letter_table).values(state=letter_state)))
    call(engine, ledger.finish, held, outcome(dead=1))
    assert end(engine, job_id)
    assert job(engine, job_id).state == job_state


def test_merging_begins_once_and_only_when_every_shard_has_ended(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    assert not call(engine, ledger.begin_merging, job_id)
    finish_all(engine, job_id)
    assert call(engine, ledger.begin_merging, job_id)
    assert not call(engine, ledger.begin_merging, job_id)
    assert job(engine, job_id).state == JobState.MERGING


def test_a_merge_has_a_shard_a_partition_and_publishes_when_the_last_is_done(engine: Engine) -> None:
    job_id = merging_job(engine, partitions=2)
    corpus_id = make_corpus(engine)
    merges = shard_ids(engine, job_id)[2:]
    assert [(shard(engine, one).kind, shard(engine, one).partition) for one in merges] == [("merge", 0), ("merge", 1)]
    finish(engine, merges[0])
    assert not call(engine, advance_job, job_id, merges=True)
    assert call(engine, current_generation, corpus_id) is None
    finish(engine, merges[1])
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.DONE
    assert call(engine, current_generation, corpus_id) == job(engine, job_id).generation_id


def test_the_same_sum_is_not_summed_twice(engine: Engine) -> None:
    first = merging_job(engine)
    finish_all(engine, first)
    call(engine, advance_job, first, merges=True)
    second = make_job(engine, 2)
    finish_all(engine, second)
    assert call(engine, advance_job, second, merges=True)
    row = job(engine, second)
    assert (row.state, row.generation_id) == ("DONE", job(engine, first).generation_id)
    assert len(shard_ids(engine, second)) == 2


def test_figures_of_merge_shards_are_no_documents(engine: Engine) -> None:
    job_id = merging_job(engine)
    finish_all(engine, job_id)
    figures = call(engine, jobs.figures, job_id)
    assert (figures["shards"], figures["documents_in"], figures["tokens"]) == (2, 6, 18)


def test_a_job_without_a_merge_ends_by_itself(engine: Engine) -> None:
    job_id = make_job(engine, 1, operation="tokenize")
    assert not call(engine, advance_job, job_id, merges=False)
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=False)
    assert job(engine, job_id).state == JobState.DONE


def test_a_job_that_is_not_there_does_not_advance(engine: Engine) -> None:
    assert not call(engine, advance_job, 4711, merges=True)


def test_planning_during_a_merge_takes_the_merge_back(engine: Engine) -> None:
    job_id = merging_job(engine)
    planner = start_planning(engine, job_id)
    assert job(engine, job_id).state == JobState.RUNNING
    assert len(shard_ids(engine, job_id)) == 2
    call(engine, ledger.seal, job_id, planner)
    assert call(engine, advance_job, job_id, merges=True)


def test_planning_takes_back_a_merge_that_was_paused(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, ledger.pause, job_id)
    planner = start_planning(engine, job_id)
    make_shards(engine, job_id, 1, root_key=b"n" * 32)
    call(engine, ledger.seal, job_id, planner)
    assert call(engine, ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.RUNNING
    assert {shard(engine, one).kind for one in shard_ids(engine, job_id)} == {"map"}


def test_pausing_empties_the_window_and_leaves_what_runs(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    first, second = call(engine, ledger.queue_due, job_id, 2)
    lease(engine, first)
    assert call(engine, ledger.pause, job_id)
    assert (shard(engine, first).state, shard(engine, second).state) == ("LEASED", "PENDING")
    assert try_lease(engine, second) is None


def test_a_paused_job_does_not_end_before_it_is_resumed(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    held = lease(engine, shard_ids(engine, job_id)[0])
    call(engine, ledger.pause, job_id)
    call(engine, ledger.finish, held, outcome())
    assert not end(engine, job_id)
    assert call(engine, ledger.resume, job_id)
    assert end(engine, job_id)


def test_only_a_paused_job_is_resumed(engine: Engine) -> None:
    job_id = make_job(engine)
    assert not call(engine, ledger.resume, job_id)
    assert call(engine, ledger.pause, job_id)
    assert not call(engine, ledger.pause, job_id)
    assert call(engine, ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.RUNNING


def test_a_merge_that_was_paused_goes_on(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, ledger.pause, job_id)
    call(engine, ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.MERGING


def test_a_merge_whose_last_shard_ended_during_the_pause_goes_on_to_its_end(engine: Engine) -> None:
    job_id = merging_job(engine, partitions=1)
    held = lease(engine, shard_ids(engine, job_id)[-1])
    call(engine, ledger.pause, job_id)
    call(engine, ledger.finish, held, outcome(documents=0))
    call(engine, ledger.resume, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.DONE


def test_cancelling_breaks_every_lease_and_ends_the_attempts(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    first, second = call(engine, ledger.queue_due, job_id, 2)
    lease(engine, first)
    assert call(engine, ledger.cancel, job_id)
    assert job(engine, job_id).state == JobState.CANCELLED
    assert [(shard(engine, one).state, shard(engine, one).token) for one in (first, second)] == [("PENDING", None)] * 2
    with reading(engine) as connection:
        assert list(connection.scalars(select(attempts.c.outcome))) == ["cancelled"]


def test_a_cancelled_job_keeps_what_is_done(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    finish(engine, shard_ids(engine, job_id)[0])
    call(engine, ledger.cancel, job_id)
    assert call(engine, jobs.shard_states, job_id) == {"DONE": 1, "PENDING": 1}


def test_a_job_is_cancelled_once_and_never_after_its_end(engine: Engine) -> None:
    job_id, ended = make_job(engine), make_job(engine)
    assert call(engine, ledger.cancel, job_id)
    assert not call(engine, ledger.cancel, job_id)
    end(engine, ended)
    assert not call(engine, ledger.cancel, ended)


def test_a_failed_job_says_why(engine: Engine) -> None:
    job_id = make_job(engine)
    call(engine, ledger.cancel, job_id, JobState.FAILED, reason="the sum does not come out")
    row = job(engine, job_id)
    assert (row.state, row.reason) == ("FAILED", "the sum does not come out")


def test_retrying_opens_a_job_with_every_count_at_zero(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    done, failed = shard_ids(engine, job_id)
    finish(engine, done)
    call(engine, ledger.fail, lease(engine, failed), "broken", 3600.0)
    change_shard(engine, failed, losses=2, deferrals=3)
    call(engine, ledger.cancel, job_id)
    assert call(engine, ledger.retry, job_id)
    row = shard(engine, failed)
    assert (row.state, row.failures, row.losses, row.deferrals) == ("PENDING", 0, 0, 0)
    assert (job(engine, job_id).state, job(engine, job_id).finished_at) == ("RUNNING", None)
    finish(engine, failed)
    assert shard(engine, done).attempts == 1
    assert end(engine, job_id)


def test_a_job_that_runs_or_is_done_is_not_retried(engine: Engine) -> None:
    job_id = make_job(engine)
    assert not call(engine, ledger.retry, job_id)
    end(engine, job_id)
    assert not call(engine, ledger.retry, job_id)


def test_a_job_that_failed_in_its_merge_is_retried_there(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, ledger.cancel, job_id, JobState.FAILED)
    assert call(engine, ledger.retry, job_id)
    assert job(engine, job_id).state == JobState.MERGING
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.DONE


class TestPlanningThatIsDue:
    """The reconciler plans what nobody else does."""

    def test_a_job_whose_planner_is_alive_is_left_to_it(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        start_planning(engine, job_id)
        assert call(engine, ledger.jobs_to_plan) == []

    def test_a_job_whose_planner_is_silent_is_planned(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        start_planning(engine, job_id)
        change_job(engine, job_id, planner_until=1.0)
        assert call(engine, ledger.jobs_to_plan) == [job_id]

    def test_a_job_whose_maker_died_before_planning_is_planned(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False)
        assert call(engine, ledger.jobs_to_plan) == []
        change_job(engine, job_id, created_at=1.0)
        assert call(engine, ledger.jobs_to_plan) == [job_id]

    def test_an_open_job_is_planned_when_its_time_is_up(self, engine: Engine) -> None:
        still_open = make_job(engine, sealed=False, open_s=3600.0)
        due = make_job(engine, sealed=False, open_s=LAPSED_S)
        change_job(engine, still_open, created_at=1.0)
        assert call(engine, ledger.jobs_to_plan) == [due]

    @pytest.mark.parametrize("state", ["PAUSED", "CANCELLED", "DONE"])
    def test_a_job_that_does_not_run_is_not_planned(self, engine: Engine, state: str) -> None:
        job_id = make_job(engine, sealed=False, open_s=LAPSED_S)
        change_job(engine, job_id, state=state)
        assert call(engine, ledger.jobs_to_plan) == []

    def test_a_sealed_job_is_not_planned_again(self, engine: Engine) -> None:
        change_job(engine, make_job(engine), created_at=1.0)
        assert call(engine, ledger.jobs_to_plan) == []


class TestOpenJobs:
    """A job takes enqueued documents until it is sealed."""

    def test_producers_find_and_join_the_open_job_of_their_kind(self, engine: Engine) -> None:
        corpus_id = make_corpus(engine)
        job_id = make_job(engine, sealed=False, open_s=60.0)
        make_job(engine, sealed=False, open_s=60.0, fingerprint="e" * 32)
        make_job(engine, sealed=False, open_s=60.0, corpus="别的")
        assert call(engine, jobs.find_open, corpus_id, "count", FINGERPRINT) == job_id
        assert call(engine, jobs.find_open, corpus_id, "tokenize", FINGERPRINT) is None
        assert call(engine, ledger.join_open_job, job_id)

    def test_nobody_joins_once_planning_has_begun(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False, open_s=60.0)
        start_planning(engine, job_id)
        assert not call(engine, ledger.join_open_job, job_id)
        assert call(engine, jobs.find_open, make_corpus(engine), "count", FINGERPRINT) is None

    def test_nobody_joins_after_its_time(self, engine: Engine) -> None:
        job_id = make_job(engine, sealed=False, open_s=LAPSED_S)
        assert not call(engine, ledger.join_open_job, job_id)


def test_jobs_run_by_priority_then_by_age(engine: Engine) -> None:
    low, first, second = make_job(engine), make_job(engine), make_job(engine)
    change_job(engine, first, priority=5)
    change_job(engine, second, priority=5)
    change_job(engine, make_job(engine), state=JobState.PAUSED)
    assert call(engine, ledger.active_jobs) == [first, second, low]


def test_shards_of_ended_jobs_burden_nobody(engine: Engine) -> None:
    running, cancelled = make_job(engine, 3), make_job(engine, 3)
    call(engine, ledger.queue_due, running, 2)
    call(engine, ledger.cancel, cancelled)
    assert call(engine, ledger.count_in_flight) == (2, 0)
    assert call(engine, ledger.count_unfinished, 100) == 3
    assert call(engine, ledger.count_unfinished, 2) == 2


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
    assert call(engine, jobs.newest_complete, corpus_id, "count").id == newer
    assert call(engine, jobs.newest_complete, corpus_id, "count", "abab").id == other
    assert call(engine, jobs.newest_complete, corpus_id, "count", "a%") is None
    assert call(engine, jobs.newest_complete, corpus_id, "tokenize") is None


def test_unfinished_jobs_are_listed_newest_first(engine: Engine) -> None:
    ended, paused, running = make_job(engine), make_job(engine), make_job(engine, corpus="别的")
    end(engine, ended)
    call(engine, ledger.pause, paused)
    assert call(engine, jobs.list_ids) == [running, paused, ended]
    assert call(engine, jobs.list_ids, unfinished=True) == [running, paused]
    assert call(engine, jobs.list_ids, corpus_id=make_corpus(engine)) == [paused, ended]
    assert call(engine, jobs.find_unfinished, make_corpus(engine), "count", FINGERPRINT) == paused


def test_shards_of_a_state_that_is_none_are_refused_by_the_database(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    assert ShardState.PENDING in call(engine, jobs.shard_states, job_id)
    with pytest.raises(IntegrityError, match="(?i)check constraint"):
        change_shard(engine, shard_ids(engine, job_id)[0], state="LOST")
