"""The processes of `ledger_scale`: they plan and run shards by the program's own code, with nothing in the shards.

The one stub is what a shard reads: no document, and a digest of its own, so that a shard costs what the queue, the
ledger and SQL cost and nothing else. Celery's own work on a message (fetching, acknowledging) is left out.
"""

from __future__ import annotations

import json
import resource
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.queues import Queue
from typing import Any

import redis

from storage import jobs
from storage.broker_state import client_url
from storage.engine import reading
from storage.planning import plan_job
from storage.redis_keys import QUEUE_CPU, SHARD_HEADER
from storage.shard_input import Batch
from tasks.operation import get_operation
from workers import run_shard
from workers.bootstrap import build_parts
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher
from workers.dispatch import dispatch_job
from workers.settings import Settings

#: Seconds after which a worker that finds nothing in the queue gives up.
PATIENCE_S = 30.0


class NothingToRead:
    """Stands for the input of a shard: nothing is in it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        """Take what the real one takes, and open nothing."""

    def digest(self) -> bytes:
        """Return the digest of content that no other shard has, or known counts would be taken over."""
        return secrets.token_bytes(32)

    def batches(self) -> Iterator[Batch]:
        """Yield nothing."""
        return iter(())


@dataclass(frozen=True, slots=True)
class Worked:
    """What one process did."""

    shards: int
    elapsed_s: float
    #: On a processor, without what the servers used.
    busy_s: float
    #: With nothing in the queue.
    waiting_s: float
    #: In `dispatch_job`, which looks, advances, queues and publishes.
    dispatching_s: float
    #: Shards that did not come to be done.
    wrong: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a planning came to."""

    shards: int
    elapsed_s: float
    grown_bytes: int
    #: Nothing can be, short of an error.
    wrong: int = 0


def work(settings: dict[str, Any], job_id: int, shards: int, results: Queue[Worked]) -> None:
    """Run shards from the queue as a worker process does, until so many are done."""
    run_shard.ShardInput = NothingToRead  # type: ignore[assignment,attr-defined]
    parts = build_parts(Settings(**settings))
    publisher = CeleryPublisher(build_app(parts.settings))
    queue = redis.Redis.from_url(client_url(parts.settings.broker_url), socket_timeout=None)
    done, wrong, waiting_s, dispatching_s = 0, 0, 0.0, 0.0
    with reading(parts.engine) as connection:
        job = jobs.get(connection, job_id)
    # The dictionary is loaded once a process, not once a shard.
    get_operation(job.operation).prepare(jobs.parameters(job), parts.workplace)
    started, busy = time.perf_counter(), time.process_time()
    while done < shards:
        asked = time.perf_counter()
        message: Any = queue.brpop([QUEUE_CPU], timeout=int(PATIENCE_S))
        waiting_s += time.perf_counter() - asked
        if message is None:
            break
        ends = run_shard.run_shard(parts, json.loads(message[1])["headers"][SHARD_HEADER], "bench@host/1/1")
        wrong += sum(1 for end in ends if end.outcome != "done")
        asked = time.perf_counter()
        dispatch_job(parts, publisher, job_id)
        dispatching_s += time.perf_counter() - asked
        done += 1
    busy_s = time.process_time() - busy
    results.put(Worked(done, time.perf_counter() - started, busy_s, waiting_s, dispatching_s, wrong))


def plan(settings: dict[str, Any], job_id: int, results: Queue[Planned]) -> None:
    """Plan a job in a process of its own, and say how long it took and how much memory."""
    parts = build_parts(Settings(**settings))
    before = _peak_bytes()
    started = time.perf_counter()
    planned = plan_job(parts.engine, job_id, parts.settings.plan_sizes)
    results.put(Planned(planned.shards if planned else 0, time.perf_counter() - started, _peak_bytes() - before))


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
