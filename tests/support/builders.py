"""Makes jobs and shards for tests by the program's own functions, and reads rows back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from threading import Barrier, Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, insert, select, update

from storage import job_ledger, jobs, ledger
from storage.engine import AnyRow, insert_new, now, reading, transact
from storage.ledger import Lease, Outcome
from storage.schema import corpora, shards
from storage.schema import jobs as job_table
from storage.states import JobState, ShardState

FINGERPRINT = "f" * 32
#: A lease as long as a worker's.
LEASE_S = 60.0
#: A lease that has run out when it is given: nobody waits in a test.
LAPSED_S = -1.0

Result = TypeVar("Result")


def call(engine: Engine, function: Callable[..., Result], *arguments: Any, **options: Any) -> Result:
    """Run a function of the storage in a transaction of its own."""
    return transact(engine, lambda connection: function(connection, *arguments, **options))


def make_corpus(engine: Engine, name: str = "新闻") -> int:
    """Return the id of a corpus, made if it is not there."""
    return call(engine, _corpus_id, name)


def _corpus_id(connection: Connection, name: str) -> int:
    insert_new(connection, corpora, [{"name": name, "created_at": 0.0}])
    return int(connection.scalar(select(corpora.c.id).where(corpora.c.name == name)) or 0)


def make_job(
    engine: Engine,
    shard_count: int = 0,
    *,
    corpus: str = "新闻",
    operation: str = "count",
    fingerprint: str = FINGERPRINT,
    open_s: float | None = None,
    sealed: bool = True,
) -> int:
    """Return the id of a job with that many shards, which runs unless it is not `sealed`."""

    def work(connection: Connection) -> int:
        new = jobs.NewJob(_corpus_id(connection, corpus), operation, {}, fingerprint, open_s=open_s)
        job_id = jobs.make_job(connection, new)
        _insert_shards(connection, job_id, shard_count, {})
        if sealed:
            planner = job_ledger.start_planning(connection, job_id)
            assert planner is not None
            assert job_ledger.seal(connection, job_id, planner)
        return job_id

    return transact(engine, work)


def make_shards(engine: Engine, job_id: int, count: int, **values: Any) -> None:
    """Give a job some pending shards of 100 bytes each."""
    call(engine, _insert_shards, job_id, count, values)


def _insert_shards(connection: Connection, job_id: int, count: int, values: dict[str, Any]) -> None:
    for number in range(count):
        row = {
            "job_id": job_id,
            "kind": "map",
            "state": ShardState.PENDING,
            "root_key": hashlib.sha256(f"{job_id}/{number}".encode()).digest(),
            "pieces": json.dumps({"files": [[number + 1, 0, -1]]}),
            "bytes": 100,
            **values,
        }
        connection.execute(insert(shards).values(**row))


def shard_ids(engine: Engine, job_id: int) -> list[int]:
    """Return the ids of a job's shards in order."""
    with reading(engine) as connection:
        return list(connection.scalars(select(shards.c.id).where(shards.c.job_id == job_id).order_by(shards.c.id)))


def shard(engine: Engine, shard_id: int) -> AnyRow:
    """Return a shard's row."""
    with reading(engine) as connection:
        return connection.execute(select(shards).where(shards.c.id == shard_id)).one()


def job(engine: Engine, job_id: int) -> AnyRow:
    """Return a job's row."""
    with reading(engine) as connection:
        return connection.execute(select(job_table).where(job_table.c.id == job_id)).one()


def change_job(engine: Engine, job_id: int, **values: Any) -> None:
    """Write into a job's row what no transition would."""
    transact(
        engine,
        lambda connection: connection.execute(update(job_table).where(job_table.c.id == job_id).values(**values)),
    )


def change_shard(engine: Engine, shard_id: int, **values: Any) -> None:
    """Write into a shard's row what no transition would."""
    transact(
        engine, lambda connection: connection.execute(update(shards).where(shards.c.id == shard_id).values(**values))
    )


def clock(engine: Engine) -> float:
    """Return the database's time."""
    with reading(engine) as connection:
        return float(connection.scalar(select(now())) or 0.0)


def try_lease(engine: Engine, shard_id: int, worker: str = "worker-1", lease_s: float = LEASE_S) -> Lease | None:
    """Claim a shard as a worker does."""
    return call(engine, ledger.lease, shard_id, worker, lease_s)


def lease(engine: Engine, shard_id: int, worker: str = "worker-1", lease_s: float = LEASE_S) -> Lease:
    """Claim a shard that can be claimed."""
    held = try_lease(engine, shard_id, worker, lease_s)
    assert held is not None
    return held


def outcome(*, documents: int = 3, dead: int = 0, tokens: int = 9, digest: bytes = b"d" * 32) -> Outcome:
    """Return the figures of a shard that is done."""
    return Outcome(documents + dead, documents, dead, tokens, digest, 1)


def finish(engine: Engine, shard_id: int, done: Outcome | None = None) -> None:
    """Run a shard to its end."""
    held = lease(engine, shard_id)
    assert call(engine, ledger.finish, held, done or outcome())


def finish_all(engine: Engine, job_id: int) -> None:
    """Run every pending shard of a job to its end."""
    for shard_id in shard_ids(engine, job_id):
        if shard(engine, shard_id).state == ShardState.PENDING:
            finish(engine, shard_id)


def end(engine: Engine, job_id: int) -> bool:
    """End a running job whose shards have all ended."""
    return call(engine, job_ledger.end_job, job_id, JobState.RUNNING, {})


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """Run functions in threads that set off together; return their results in order. The first error is raised."""
    barrier = Barrier(len(works))
    results: dict[int, Any] = {}
    errors: list[BaseException] = []

    def run(number: int, work: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            results[number] = work()
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's own thread
            errors.append(error)

    threads = [Thread(target=run, args=(number, work)) for number, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return [results[number] for number in range(len(works))]
