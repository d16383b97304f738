"""Races in the ledger on both databases: whoever comes together, one wins and nothing is counted twice."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import repeat
from multiprocessing import get_context

import pytest
from sqlalchemy import Connection, Engine, func, select

from storage import job_ledger, jobs, ledger
from storage.completion import advance_job
from storage.documents import NewDocument, enqueue
from storage.engine import reading
from storage.planning import Plan, PlanSizes, add_shards, documents_shard, plan_job
from storage.schema import attempts
from storage.states import JobState, ShardState
from tests.support.builders import (
    LAPSED_S,
    at_once,
    call,
    change_job,
    end,
    finish_all,
    job,
    lease,
    make_corpus,
    make_job,
    outcome,
    shard,
    shard_ids,
    try_lease,
)
from tests.support.ledger_process import work_through
from tests.support.source_listing import listed, refresh

#: How often a race is run: a wrong order shows in a few of them.
ROUNDS = 5


def test_a_shard_is_leased_by_one_of_many_workers(engine: Engine) -> None:
    for shard_id in shard_ids(engine, make_job(engine, ROUNDS)):
        leases = at_once([partial(try_lease, engine, shard_id, f"worker-{number}") for number in range(4)])
        (held,) = [one for one in leases if one is not None]
        assert shard(engine, shard_id).token == held.token
        assert shard(engine, shard_id).attempts == 1


def test_a_shard_is_queued_by_one_of_many_dispatchers(engine: Engine) -> None:
    job_id = make_job(engine, 20)
    queued = at_once([partial(call, engine, ledger.queue_due, job_id, 20)] * 4)
    assert sorted(shard_id for ids in queued for shard_id in ids) == shard_ids(engine, job_id)


def test_a_lapsed_lease_is_lost_once(engine: Engine) -> None:
    for shard_id in shard_ids(engine, make_job(engine, ROUNDS)):
        lease(engine, shard_id, lease_s=LAPSED_S)
        assert sum(at_once([partial(call, engine, ledger.free_lapsed)] * 3)) == 1
        assert shard(engine, shard_id).losses == 1


def test_a_late_worker_and_the_reconciler_agree(engine: Engine) -> None:
    for shard_id in shard_ids(engine, make_job(engine, ROUNDS)):
        held = lease(engine, shard_id, lease_s=LAPSED_S)
        finished, freed = at_once(
            [partial(call, engine, ledger.finish, held, outcome()), partial(call, engine, ledger.free_lapsed)]
        )
        assert (finished, freed) in {(True, 0), (False, 1)}
        assert shard(engine, shard_id).state == ("DONE" if finished else "PENDING")


def test_a_commit_and_a_cancellation_agree(engine: Engine) -> None:
    for _ in range(ROUNDS):
        job_id = make_job(engine, 1)
        held = lease(engine, shard_ids(engine, job_id)[0])
        finished, cancelled = at_once(
            [partial(call, engine, ledger.finish, held, outcome()), partial(call, engine, job_ledger.cancel, job_id)]
        )
        assert cancelled
        assert shard(engine, held.shard_id).state == ("DONE" if finished else "PENDING")


def test_a_shard_leased_during_a_cancellation_never_commits(engine: Engine) -> None:
    for _ in range(ROUNDS):
        job_id = make_job(engine, 1)
        (shard_id,) = call(engine, ledger.queue_due, job_id, 1)
        held, _ = at_once([partial(try_lease, engine, shard_id), partial(call, engine, job_ledger.cancel, job_id)])
        assert held is None or not call(engine, ledger.finish, held, outcome())


def test_a_job_is_ended_by_one_of_many(engine: Engine) -> None:
    for _ in range(ROUNDS):
        job_id = make_job(engine, 1)
        finish_all(engine, job_id)
        assert sorted(at_once([partial(end, engine, job_id)] * 3)) == [False, False, True]


def test_a_merge_is_begun_by_one_of_many_and_ended_by_one_of_many(engine: Engine) -> None:
    for number in range(ROUNDS):
        job_id = make_job(engine, 2, fingerprint=f"{number:032}")
        change_job(engine, job_id, partitions=4)
        finish_all(engine, job_id)
        advance = partial(call, engine, advance_job, job_id, merges=True)
        assert sum(at_once([advance] * 3)) == 1
        assert len(shard_ids(engine, job_id)) == 6
        finish_all(engine, job_id)
        assert sum(at_once([advance] * 3)) == 1
        assert job(engine, job_id).state == JobState.DONE


def test_the_last_two_shards_of_a_job_do_not_overlook_each_other(engine: Engine) -> None:
    for _ in range(ROUNDS):
        job_id = make_job(engine, 2)
        leases = [lease(engine, shard_id) for shard_id in shard_ids(engine, job_id)]

        def finish_and_end(held: ledger.Lease, job_id: int = job_id) -> bool:
            call(engine, ledger.finish, held, outcome())
            return end(engine, job_id)

        assert sum(at_once([partial(finish_and_end, held) for held in leases])) == 1


#: No pack is so small that it is put together with another.
APART = PlanSizes(shard_bytes=1)


def test_of_many_planners_the_job_has_one_plan(engine: Engine) -> None:
    corpus_id = make_corpus(engine)
    for number in range(ROUNDS):
        refresh(engine, corpus_id, [listed(f"{number}-{name}", 60) for name in range(10)])
        job_id = make_job(engine, sealed=False, fingerprint=f"{number:032}")
        plans = at_once([partial(plan_job, engine, job_id)] * 3)
        assert any(plan is not None for plan in plans)
        assert len(shard_ids(engine, job_id)) == 10
        assert job(engine, job_id).sealed_at is not None
        assert plan_job(engine, job_id) == Plan(shards=10)


def test_documents_that_join_while_a_job_is_sealed_are_in_it_or_in_none(engine: Engine) -> None:
    corpus_id = make_corpus(engine)
    for number in range(ROUNDS):
        job_id = make_job(engine, sealed=False, open_s=60.0, fingerprint=f"{number:032}")

        def join(job_id: int = job_id, key: str = f"k{number}") -> bool:
            def work(connection: Connection) -> bool:
                packs = enqueue(connection, corpus_id, [NewDocument(key, "字")], 1000)
                joined = job_ledger.join_open_job(connection, job_id)
                if joined:
                    add_shards(connection, job_id, [documents_shard(rows) for rows in packs.values()])
                return joined

            return call(engine, work)

        joined, plan = at_once([join, partial(plan_job, engine, job_id, APART)])
        # Who joined in time is planned; who came late may still be, for planning takes all that the corpus has.
        assert plan.shards in ({number + 1} if joined else {number, number + 1})
        assert len(shard_ids(engine, job_id)) == plan.shards
        assert plan_job(engine, job_id, APART) == Plan(number + 1, added=number + 1 - plan.shards)


@pytest.mark.timeout(300)
def test_processes_share_a_ledger_and_no_shard_runs_twice(engine: Engine, database_url: str) -> None:
    job_id = make_job(engine, 30)
    ids = shard_ids(engine, job_id)
    # Each begins somewhere else, so that they meet in the middle.
    orders = [ids, ids[::-1], [*ids[15:], *ids[:15]]]
    with ProcessPoolExecutor(3, mp_context=get_context("spawn")) as pool:
        done = list(pool.map(work_through, repeat(database_url), orders, ["worker-1", "worker-2", "worker-3"]))
    assert sum(done) == 30
    assert call(engine, jobs.shard_states, job_id) == {ShardState.DONE: 30}
    with reading(engine) as connection:
        assert connection.scalar(select(func.count()).select_from(attempts)) == 30
    assert call(engine, jobs.figures, job_id)["tokens"] == 270
    assert end(engine, job_id)
