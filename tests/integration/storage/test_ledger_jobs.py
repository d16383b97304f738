"""The life of a job on both databases: sealed, merged, ended once; paused, resumed, cancelled, opened again."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, select, update

from storage import dead_letters, job_ledger, jobs, ledger
from storage.completion import advance_job
from storage.dead_letters import DeadLetter
from storage.engine import reading
from storage.schema import attempts
from storage.schema import dead_letters as letter_table
from storage.states import JobState
from storage.word_counts import current_generation
from tests.support.builders import (
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
    planner = call(engine, job_ledger.start_planning, job_id)
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
    assert not call(engine, job_ledger.plans, job_id, first)
    assert not call(engine, job_ledger.seal, job_id, first)
    assert job(engine, job_id).state == JobState.PLANNING
    assert call(engine, job_ledger.seal, job_id, second)


def test_an_ended_job_is_not_planned_again(engine: Engine) -> None:
    job_id = make_job(engine)
    assert end(engine, job_id)
    assert call(engine, job_ledger.start_planning, job_id) is None


def test_planning_anew_takes_the_seal_off_so_that_the_job_cannot_end(engine: Engine) -> None:
    job_id = make_job(engine)
    planner = start_planning(engine, job_id)
    assert not end(engine, job_id)
    call(engine, job_ledger.seal, job_id, planner)
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
    assert not call(engine, job_ledger.begin_merging, job_id)
    finish_all(engine, job_id)
    assert call(engine, job_ledger.begin_merging, job_id)
    assert not call(engine, job_ledger.begin_merging, job_id)
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
    call(engine, job_ledger.seal, job_id, planner)
    assert call(engine, advance_job, job_id, merges=True)


def test_planning_takes_back_a_merge_that_was_paused(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, job_ledger.pause, job_id)
    planner = start_planning(engine, job_id)
    make_shards(engine, job_id, 1, root_key=b"n" * 32)
    call(engine, job_ledger.seal, job_id, planner)
    assert call(engine, job_ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.RUNNING
    assert {shard(engine, one).kind for one in shard_ids(engine, job_id)} == {"map"}


def test_pausing_empties_the_window_and_leaves_what_runs(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    first, second = call(engine, ledger.queue_due, job_id, 2)
    lease(engine, first)
    assert call(engine, job_ledger.pause, job_id)
    assert (shard(engine, first).state, shard(engine, second).state) == ("LEASED", "PENDING")
    assert try_lease(engine, second) is None


def test_a_paused_job_does_not_end_before_it_is_resumed(engine: Engine) -> None:
    job_id = make_job(engine, 1)
    held = lease(engine, shard_ids(engine, job_id)[0])
    call(engine, job_ledger.pause, job_id)
    call(engine, ledger.finish, held, outcome())
    assert not end(engine, job_id)
    assert call(engine, job_ledger.resume, job_id)
    assert end(engine, job_id)


def test_only_a_paused_job_is_resumed(engine: Engine) -> None:
    job_id = make_job(engine)
    assert not call(engine, job_ledger.resume, job_id)
    assert call(engine, job_ledger.pause, job_id)
    assert not call(engine, job_ledger.pause, job_id)
    assert call(engine, job_ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.RUNNING


def test_a_merge_that_was_paused_goes_on(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, job_ledger.pause, job_id)
    call(engine, job_ledger.resume, job_id)
    assert job(engine, job_id).state == JobState.MERGING


def test_a_merge_whose_last_shard_ended_during_the_pause_goes_on_to_its_end(engine: Engine) -> None:
    job_id = merging_job(engine, partitions=1)
    held = lease(engine, shard_ids(engine, job_id)[-1])
    call(engine, job_ledger.pause, job_id)
    call(engine, ledger.finish, held, outcome(documents=0))
    call(engine, job_ledger.resume, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.DONE


def test_cancelling_breaks_every_lease_and_ends_the_attempts(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    first, second = call(engine, ledger.queue_due, job_id, 2)
    lease(engine, first)
    assert call(engine, job_ledger.cancel, job_id)
    assert job(engine, job_id).state == JobState.CANCELLED
    assert [(shard(engine, one).state, shard(engine, one).token) for one in (first, second)] == [("PENDING", None)] * 2
    with reading(engine) as connection:
        assert list(connection.scalars(select(attempts.c.outcome))) == ["cancelled"]


def test_a_cancelled_job_keeps_what_is_done(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    finish(engine, shard_ids(engine, job_id)[0])
    call(engine, job_ledger.cancel, job_id)
    assert call(engine, jobs.shard_states, job_id) == {"DONE": 1, "PENDING": 1}


def test_a_job_is_cancelled_once_and_never_after_its_end(engine: Engine) -> None:
    job_id, ended = make_job(engine), make_job(engine)
    assert call(engine, job_ledger.cancel, job_id)
    assert not call(engine, job_ledger.cancel, job_id)
    end(engine, ended)
    assert not call(engine, job_ledger.cancel, ended)


def test_a_failed_job_says_why(engine: Engine) -> None:
    job_id = make_job(engine)
    call(engine, job_ledger.cancel, job_id, JobState.FAILED, reason="the sum does not come out")
    row = job(engine, job_id)
    assert (row.state, row.reason) == ("FAILED", "the sum does not come out")


def test_retrying_opens_a_job_with_every_count_at_zero(engine: Engine) -> None:
    job_id = make_job(engine, 2)
    done, failed = shard_ids(engine, job_id)
    finish(engine, done)
    call(engine, ledger.fail, lease(engine, failed), "broken", 3600.0)
    change_shard(engine, failed, losses=2, deferrals=3)
    call(engine, job_ledger.cancel, job_id)
    assert call(engine, job_ledger.retry, job_id)
    row = shard(engine, failed)
    assert (row.state, row.failures, row.losses, row.deferrals) == ("PENDING", 0, 0, 0)
    assert (job(engine, job_id).state, job(engine, job_id).finished_at) == ("RUNNING", None)
    finish(engine, failed)
    assert shard(engine, done).attempts == 1
    assert end(engine, job_id)


def test_a_job_that_runs_or_is_done_is_not_retried(engine: Engine) -> None:
    job_id = make_job(engine)
    assert not call(engine, job_ledger.retry, job_id)
    end(engine, job_id)
    assert not call(engine, job_ledger.retry, job_id)


def test_a_job_that_failed_in_its_merge_is_retried_there(engine: Engine) -> None:
    job_id = merging_job(engine)
    call(engine, job_ledger.cancel, job_id, JobState.FAILED)
    assert call(engine, job_ledger.retry, job_id)
    assert job(engine, job_id).state == JobState.MERGING
    finish_all(engine, job_id)
    assert call(engine, advance_job, job_id, merges=True)
    assert job(engine, job_id).state == JobState.DONE
