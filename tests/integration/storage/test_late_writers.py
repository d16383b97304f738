"""Writers that come a moment too late, or at the same moment: what they meet is never half of another's work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, text, update

from storage import dead_letters, job_ledger, ledger, tokens
from storage import engine as engine_module
from storage.dead_letters import DeadLetter
from storage.engine import open_engine, reading
from storage.planning import PlanSizes, plan_job
from storage.schema import sources
from tests.support.builders import at_once, call, job, lease, make_corpus, shard_ids
from tests.support.deployment import wait_for
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import counts_of, open_mill, view_of, write_texts
from tests.support.reference import serial_counts
from workers.submit import _find_or_make, check_operations

#: How often a race is run: a wrong order shows in a few of them.
ROUNDS = 3


@pytest.fixture
def mill(home: Path, postgres_database: str) -> Iterator[InlineMill]:
    """Return a mill on PostgreSQL, where several write at a time."""
    with open_mill(home, postgres_database) as made:
        yield made


@pytest.fixture
def engine_pg(postgres_database: str) -> Iterator[Engine]:
    made = open_engine(postgres_database)
    yield made
    made.dispose()


class Waiting:
    """A function in a thread of its own, which waits for a lock that the test holds."""

    def __init__(self, engine: Engine, function: Callable[[], Any]) -> None:
        self._results: list[Any] = []
        self._thread = Thread(target=lambda: self._results.append(function()))
        self._thread.start()
        # As long as one transaction it has one process on the server; when that stands still, it is waiting.
        statement = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

        def waits() -> bool:
            with reading(engine) as connection:
                return bool(connection.scalar(statement))

        wait_for(lambda: waits() or not self._thread.is_alive(), 180.0, lambda: "the other writer waits")

    def result(self) -> Any:
        """Return what the function returned, once the lock is free."""
        self._thread.join()
        (result,) = self._results
        return result


@pytest.mark.postgres
def test_a_flush_that_meets_a_new_plan_leaves_no_letter_without_a_shard(mill: InlineMill, tmp_path: Path) -> None:
    engine = mill.parts.engine
    path = write_texts(tmp_path / "a.jsonl", ["甲"])
    job_id = mill.submit([path], "c", "count").jobs[0].id
    (shard_id,) = shard_ids(engine, job_id)
    held = lease(engine, shard_id)
    call(
        engine,
        lambda connection: connection.execute(
            update(sources).values(stamp="another", version=sources.c.version + 1, cuts=None)
        ),
    )
    with engine.begin() as connection:
        assert ledger.holds(connection, held)
        planning = Waiting(engine, partial(plan_job, engine, job_id))
        dead_letters.save(connection, held, [DeadLetter(1, str(path), 0, 1, "nul", "坏")])
    assert planning.result() is not None
    assert shard_id not in shard_ids(engine, job_id)
    assert call(engine, dead_letters.standing, job_id) == 0


@pytest.mark.postgres
def test_a_job_that_is_planned_in_more_partitions_as_its_merge_begins_sums_them_all(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["甲乙丙丁 戊 己 庚 辛", "北京的天气很好"]
    job_id = mill.submit([write_texts(tmp_path / "a.jsonl", texts)], "c", "count").jobs[0].id
    begin_merging = job_ledger.begin_merging
    plans: list[object] = []

    def begin_late(connection: Connection, job_id: int) -> bool:
        # Once, when every shard has ended; the caller has read the job's row already.
        if not plans and view_of(mill, job_id)["shards_done"]:
            plans.append(plan_job(mill.parts.engine, job_id, PlanSizes(merge_words=1)))
        return begin_merging(connection, job_id)

    monkeypatch.setattr(job_ledger, "begin_merging", begin_late)
    mill.work()
    assert len(plans) == 1
    assert job(mill.parts.engine, job_id).partitions > 1
    assert view_of(mill, job_id)["state"] == "DONE"
    assert counts_of(mill) == serial_counts(texts)


@pytest.mark.postgres
def test_two_submits_of_the_same_at_the_same_moment_make_one_job(mill: InlineMill) -> None:
    engine = mill.parts.engine
    (checked,) = check_operations(engine, ["count"], {})
    corpus_id = make_corpus(engine)
    with engine.begin() as connection:
        first = _find_or_make(connection, corpus_id, checked, 0)
        other = Waiting(engine, partial(call, engine, _find_or_make, corpus_id, checked, 0))
    assert other.result() == (first[0], True)


def test_submits_that_race_for_a_new_corpus_agree_on_one_job(home: Path, database_url: str, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["甲"] * 5)
    with open_mill(home, database_url) as mill:
        for number in range(ROUNDS):
            corpus = f"c{number}"
            one, other = at_once([partial(mill.submit, [path], corpus, "count")] * 2)
            assert one.jobs[0].id == other.jobs[0].id
            mill.work(one.jobs[0].id)
            assert counts_of(mill, corpus) == serial_counts(["甲"] * 5)


@pytest.mark.postgres
def test_workers_that_write_the_tokens_of_the_same_texts_do_not_wait_in_a_circle(
    engine_pg: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    circles: list[str] = []
    is_retryable = engine_module.is_retryable

    def noting(error: Any) -> bool:
        circles.append(str(getattr(error.orig, "sqlstate", None)))
        return is_retryable(error)

    monkeypatch.setattr(engine_module, "is_retryable", noting)
    for number in range(ROUNDS):
        digests = [bytes([number]) + place.to_bytes(31) for place in range(4000)]
        forwards = {digest: ["字"] for digest in digests}
        backwards = {digest: ["字"] for digest in reversed(digests)}
        at_once([partial(call, engine_pg, tokens.save, "f" * 32, cut) for cut in (forwards, backwards)])
        assert len(call(engine_pg, tokens.known, "f" * 32, digests)) == len(digests)
    assert circles == []
