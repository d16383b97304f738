"""The life of a shard on both databases: every transition, its fence, and the attempts that are written down."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, Engine, insert, select
from sqlalchemy.exc import IntegrityError

from storage import dead_letters, job_ledger, jobs, ledger
from storage.dead_letters import DeadLetter
from storage.engine import AnyRow, reading
from storage.ledger import Lease
from storage.schema import attempts, shards
from storage.states import JobState, ShardState
from tests.support.builders import (
    LAPSED_S,
    LEASE_S,
    call,
    change_job,
    change_shard,
    clock,
    finish,
    lease,
    make_job,
    outcome,
    shard,
    shard_ids,
    try_lease,
)

Transition = Callable[[Connection, Lease], bool]

HALVES = [({"files": [[1, 0, 50]]}, 50), ({"files": [[1, 50, -1]]}, 50)]


@pytest.fixture
def job_id(engine: Engine) -> int:
    return make_job(engine, 3)


@pytest.fixture
def shard_id(engine: Engine, job_id: int) -> int:
    return shard_ids(engine, job_id)[0]


def attempts_of(engine: Engine, shard_id: int) -> list[AnyRow]:
    with reading(engine) as connection:
        return list(connection.execute(select(attempts).where(attempts.c.shard_id == shard_id).order_by(attempts.c.id)))


def test_queueing_takes_due_shards_in_order_up_to_the_window(engine: Engine, job_id: int) -> None:
    ids = shard_ids(engine, job_id)
    assert call(engine, ledger.queue_due, job_id, 2) == ids[:2]
    assert [shard(engine, shard_id).state for shard_id in ids] == ["QUEUED", "QUEUED", "PENDING"]
    assert call(engine, ledger.queue_due, job_id, 2) == []
    assert call(engine, ledger.queue_due, job_id, 3) == ids[2:]


def test_every_finished_shard_lets_the_next_one_into_the_window(engine: Engine, job_id: int) -> None:
    ids = shard_ids(engine, job_id)
    call(engine, ledger.queue_due, job_id, 1)
    finish(engine, ids[0])
    assert call(engine, ledger.queue_due, job_id, 1) == [ids[1]]


def test_a_shard_is_not_queued_before_its_time(engine: Engine, job_id: int, shard_id: int) -> None:
    change_shard(engine, shard_id, not_before=clock(engine) + 3600)
    assert shard_id not in call(engine, ledger.queue_due, job_id, 10)


@pytest.mark.parametrize("state", ["PAUSED", "CANCELLED", "FAILED", "STOPPED", "DONE"])
def test_no_shard_of_a_job_that_does_not_run_is_queued_or_leased(
    engine: Engine, job_id: int, shard_id: int, state: str
) -> None:
    change_job(engine, job_id, state=state)
    assert call(engine, ledger.queue_due, job_id, 10) == []
    assert try_lease(engine, shard_id) is None


def test_shards_whose_message_was_not_published_wait_again(engine: Engine, job_id: int) -> None:
    queued = call(engine, ledger.queue_due, job_id, 2)
    held = lease(engine, queued[0])
    call(engine, ledger.unqueue, queued)
    assert shard(engine, queued[0]).token == held.token
    assert shard(engine, queued[1]).state == ShardState.PENDING


def test_only_shards_queued_before_an_instant_are_put_back(engine: Engine, job_id: int) -> None:
    first, second, _ = shard_ids(engine, job_id)
    call(engine, ledger.queue_due, job_id, 2)
    change_shard(engine, first, queued_at=1000.0)
    change_shard(engine, second, queued_at=2000.0)
    assert call(engine, ledger.unqueue_lost, 1000.0, {first}) == 0
    assert call(engine, ledger.unqueue_lost, 1000.0, set()) == 1
    assert (shard(engine, first).state, shard(engine, second).state) == ("PENDING", "QUEUED")


def test_after_a_flush_everything_queued_is_put_back_and_nothing_leased(engine: Engine, job_id: int) -> None:
    first, *_ = call(engine, ledger.queue_due, job_id, 3)
    lease(engine, first)
    assert call(engine, ledger.unqueue_all) == 2
    assert call(engine, job_ledger.queued_shards) == set()


def test_a_lease_counts_the_attempt_before_the_work(engine: Engine, job_id: int, shard_id: int) -> None:
    held = lease(engine, shard_id, "worker-1")
    assert (held.shard_id, held.job_id, held.kind, held.attempts) == (shard_id, job_id, "map", 1)
    assert held.pieces == {"files": [[1, 0, -1]]}
    row = shard(engine, shard_id)
    assert (row.state, row.token, row.leased_by, row.attempts) == ("LEASED", held.token, "worker-1", 1)
    (attempt,) = attempts_of(engine, shard_id)
    assert (attempt.number, attempt.token, attempt.worker, attempt.outcome) == (1, held.token, "worker-1", None)


def test_a_lease_runs_by_the_clock_of_the_database(engine: Engine, shard_id: int) -> None:
    before = clock(engine)
    lease(engine, shard_id, lease_s=LEASE_S)
    assert before + LEASE_S <= shard(engine, shard_id).lease_until <= clock(engine) + LEASE_S


def test_a_leased_shard_is_not_leased_again(engine: Engine, shard_id: int) -> None:
    lease(engine, shard_id)
    assert try_lease(engine, shard_id, "worker-2") is None
    assert shard(engine, shard_id).attempts == 1


def test_a_message_for_a_shard_that_is_gone_is_forgotten(engine: Engine) -> None:
    assert try_lease(engine, 4711) is None


def test_renewing_prolongs_the_lease_and_tells_the_progress(engine: Engine, shard_id: int) -> None:
    held = lease(engine, shard_id, lease_s=LAPSED_S)
    assert call(engine, ledger.renew_all, [held], LEASE_S, {shard_id: 42}) == {shard_id}
    row = shard(engine, shard_id)
    assert row.lease_until > clock(engine)
    assert row.bytes_done == 42


def test_finishing_writes_the_figures_and_gives_the_lease_back(engine: Engine, shard_id: int) -> None:
    held = lease(engine, shard_id)
    assert call(engine, ledger.finish, held, outcome(documents=5, dead=1, tokens=50, digest=b"x" * 32))
    row = shard(engine, shard_id)
    assert (row.state, row.documents_in, row.results, row.dead, row.tokens) == ("DONE", 6, 5, 1, 50)
    assert (row.digest, row.partitions, row.token, row.lease_until) == (b"x" * 32, 1, None, None)
    assert [attempt.outcome for attempt in attempts_of(engine, shard_id)] == ["done"]


def test_a_failure_waits_for_its_pause_and_is_counted(engine: Engine, shard_id: int) -> None:
    held = lease(engine, shard_id)
    assert call(engine, ledger.fail, held, "坏了" * 2000, 3600.0)
    row = shard(engine, shard_id)
    assert (row.state, row.failures, row.losses, row.deferrals, len(row.error)) == ("PENDING", 1, 0, 0, 2000)
    assert try_lease(engine, shard_id) is None
    assert [attempt.outcome for attempt in attempts_of(engine, shard_id)] == ["failed"]


def test_a_failed_shard_runs_again_once_its_pause_is_over(engine: Engine, shard_id: int) -> None:
    call(engine, ledger.fail, lease(engine, shard_id), "broken", 0.0)
    held = lease(engine, shard_id)
    assert (held.attempts, held.failures, held.error) == (2, 1, "broken")


def test_a_deferral_is_no_failure(engine: Engine, shard_id: int) -> None:
    assert call(engine, ledger.defer, lease(engine, shard_id), "the file server is away", 0.0)
    held = lease(engine, shard_id)
    assert (held.failures, held.losses, held.deferrals) == (0, 0, 1)
    assert [attempt.outcome for attempt in attempts_of(engine, shard_id)] == ["deferred", None]


def test_progress_of_an_attempt_that_failed_counts_no_more(engine: Engine, job_id: int, shard_id: int) -> None:
    held = lease(engine, shard_id)
    call(engine, ledger.renew_all, [held], LEASE_S, {shard_id: 60})
    assert call(engine, jobs.figures, job_id)["bytes_done"] == 60
    call(engine, ledger.fail, held, "broken", 0.0)
    assert call(engine, jobs.figures, job_id)["bytes_done"] == 0


def test_a_lapsed_lease_is_a_loss_and_no_failure(engine: Engine, job_id: int, shard_id: int) -> None:
    other = shard_ids(engine, job_id)[1]
    lease(engine, shard_id, lease_s=LAPSED_S)
    lease(engine, other)
    assert call(engine, ledger.free_lapsed) == 1
    row = shard(engine, shard_id)
    assert (row.state, row.losses, row.failures, row.token) == ("PENDING", 1, 0, None)
    assert shard(engine, other).state == ShardState.LEASED
    assert [attempt.outcome for attempt in attempts_of(engine, shard_id)] == ["lost"]


def test_what_a_dead_worker_held_is_freed_at_once(engine: Engine, job_id: int) -> None:
    first, second, third = shard_ids(engine, job_id)
    lease(engine, first, "host_1:10:a")
    lease(engine, second, "host_1:100:a")
    lease(engine, third, "hostx1:10:a")
    assert call(engine, ledger.free_worker, "host_1:10:") == 1
    assert [shard(engine, shard_id).state for shard_id in (first, second, third)] == ["PENDING", "LEASED", "LEASED"]


def test_one_shard_is_freed_only_from_the_worker_that_is_named(engine: Engine, shard_id: int) -> None:
    lease(engine, shard_id, "host:10:a")
    assert call(engine, ledger.free_shard, shard_id, "host:11:") == 0
    assert call(engine, ledger.free_shard, shard_id, "host:10:") == 1


def test_why_a_process_ended_is_kept_with_its_shard_and_its_attempt(engine: Engine, shard_id: int) -> None:
    lease(engine, shard_id, "host:10:a")
    call(engine, ledger.free_shard, shard_id, "host:10:a", "its process ended by SIGSEGV")
    assert (shard(engine, shard_id).losses, shard(engine, shard_id).error) == (1, "its process ended by SIGSEGV")
    assert [attempt.error for attempt in attempts_of(engine, shard_id)] == ["its process ended by SIGSEGV"]


def test_the_halves_of_a_shard_are_known_as_such_and_keep_no_company(
    engine: Engine, job_id: int, shard_id: int
) -> None:
    assert call(engine, ledger.split, lease(engine, shard_id), HALVES)
    *others, half, _ = shard_ids(engine, job_id)
    held = lease(engine, half)
    assert held.is_half
    companions = call(engine, ledger.lease_companions, held, "w", LEASE_S, max_bytes=10**9, max_shards=100)
    assert [companion.shard_id for companion in companions] == [other for other in others if other != shard_id]
    assert not any(companion.is_half for companion in companions)


def test_splitting_puts_two_fresh_halves_in_place_of_the_shard(engine: Engine, job_id: int, shard_id: int) -> None:
    call(engine, ledger.fail, lease(engine, shard_id), "broken", 0.0)
    assert call(engine, ledger.split, lease(engine, shard_id), HALVES)
    assert shard(engine, shard_id).state == ShardState.SPLIT
    children = [shard(engine, child_id) for child_id in shard_ids(engine, job_id)[-2:]]
    assert [(child.parent_id, child.half, child.state, child.bytes) for child in children] == [
        (shard_id, 0, "PENDING", 50),
        (shard_id, 1, "PENDING", 50),
    ]
    assert [(child.attempts, child.failures, child.losses) for child in children] == [(0, 0, 0), (0, 0, 0)]
    assert {child.root_key for child in children} == {shard(engine, shard_id).root_key}


def test_a_split_shard_counts_in_no_sum(engine: Engine, job_id: int, shard_id: int) -> None:
    before = call(engine, jobs.figures, job_id)
    call(engine, ledger.split, lease(engine, shard_id), HALVES)
    after = call(engine, jobs.figures, job_id)
    assert (before["shards"], after["shards"]) == (3, 4)
    assert before["bytes"] == after["bytes"] == 300


def test_a_half_is_there_once(engine: Engine, shard_id: int) -> None:
    held = lease(engine, shard_id)
    call(engine, ledger.split, held, HALVES)
    with pytest.raises(IntegrityError):
        call(engine, lambda connection: connection.execute(insert(shards).values(ledger.child(held, {}, 0))))


def test_splitting_drops_the_dead_letters_that_its_halves_will_write_again(engine: Engine, shard_id: int) -> None:
    held = lease(engine, shard_id)
    call(engine, dead_letters.save, held, [DeadLetter(1, "a.jsonl", 0, 5, "undecodable", "no UTF-8")])
    call(engine, ledger.split, held, HALVES)
    assert call(engine, dead_letters.standing, held.job_id) == 0


def test_a_buried_shard_is_dead_and_all_of_it_counts_as_dead(engine: Engine, job_id: int, shard_id: int) -> None:
    assert call(engine, ledger.bury, lease(engine, shard_id), 1)
    assert shard(engine, shard_id).state == ShardState.DEAD
    figures = call(engine, jobs.figures, job_id)
    assert (figures["documents_in"], figures["results"], figures["dead"], figures["shards_done"]) == (1, 0, 1, 1)


@pytest.mark.parametrize(
    "transition",
    [
        lambda connection, held: ledger.finish(connection, held, outcome()),
        lambda connection, held: ledger.fail(connection, held, "broken", 0.0),
        lambda connection, held: ledger.defer(connection, held, "away", 0.0),
        lambda connection, held: ledger.split(connection, held, HALVES),
        lambda connection, held: ledger.bury(connection, held, 1),
        lambda connection, held: ledger.renew_all(connection, [held], LEASE_S, {held.shard_id: 7}),
        ledger.holds,
    ],
    ids=["finish", "fail", "defer", "split", "bury", "renew", "holds"],
)
class TestFence:
    """An attempt whose token no longer holds changes nothing, whatever it tries."""

    def test_a_late_worker_changes_nothing(
        self, engine: Engine, job_id: int, shard_id: int, transition: Transition
    ) -> None:
        late = lease(engine, shard_id, "late", lease_s=LAPSED_S)
        call(engine, ledger.free_lapsed)
        lease(engine, shard_id, "next")
        before, ids = shard(engine, shard_id), shard_ids(engine, job_id)
        assert not call(engine, transition, late)
        assert shard(engine, shard_id) == before
        assert shard_ids(engine, job_id) == ids
        assert [attempt.outcome for attempt in attempts_of(engine, shard_id)] == ["lost", None]

    @pytest.mark.parametrize("state", [JobState.CANCELLED, JobState.FAILED, JobState.STOPPED])
    def test_nothing_of_an_ended_job_commits(
        self, engine: Engine, job_id: int, shard_id: int, transition: Transition, state: JobState
    ) -> None:
        held = lease(engine, shard_id)
        assert call(engine, job_ledger.cancel, job_id, state)
        before = shard(engine, shard_id)
        assert not call(engine, transition, held)
        assert shard(engine, shard_id) == before

    def test_what_was_leased_before_a_pause_still_commits(
        self, engine: Engine, job_id: int, shard_id: int, transition: Transition
    ) -> None:
        held = lease(engine, shard_id)
        assert call(engine, job_ledger.pause, job_id)
        assert call(engine, transition, held)


def test_a_commit_under_a_cancelled_job_is_refused_even_with_its_token(
    engine: Engine, job_id: int, shard_id: int
) -> None:
    # As when the lease was given at the very moment of the cancellation.
    held = lease(engine, shard_id)
    change_job(engine, job_id, state=JobState.CANCELLED)
    assert not call(engine, ledger.finish, held, outcome())
