"""Work that takes ten times the visibility timeout is delivered once and runs once, though others are idle."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from storage.broker_state import client_url
from storage.engine import reading
from storage.fault_points import fired_path
from storage.redis_keys import EPOCH, QUEUE_CPU, QUEUE_GPU, UNACKED
from storage.schema import attempts
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import serial_counts

pytestmark = pytest.mark.fault

Until = Callable[[Callable[[], bool], str], None]

VISIBILITY_TIMEOUT_S = 2.0
#: Seconds that a shard takes: ten times as long.
WORK_S = 20.0


def received(log: Path) -> int:
    """Return how many messages about shards a worker was given, by its log."""
    lines = log.read_text(encoding="utf-8").splitlines()
    said = [str(json.loads(line).get("message")) for line in lines if line.startswith("{") and line.endswith("}")]
    return sum(message.startswith("Task hanmill.run_shard[") and message.endswith("received") for message in said)


def worker_logs(home: Path) -> list[Path]:
    return sorted(home.glob("worker-*.log"))


def attempts_at(deployment: Deployment, job_id: int) -> list[tuple[int, int, str | None]]:
    """Return every attempt at a job's shards: the shard, the attempt's number, how it ended."""
    statement = select(attempts.c.shard_id, attempts.c.number, attempts.c.outcome).where(attempts.c.job_id == job_id)
    with reading(deployment.parts.engine) as connection:
        return [tuple(row) for row in connection.execute(statement)]


def test_long_work_is_delivered_once_by_workers_that_live_and_by_one_that_is_told_to_end(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path, sample_texts: list[str], until: Until
) -> None:
    plan = tmp_path / "plan.json"
    faults = [{"point": point, "action": "wait", "wait_s": WORK_S} for point in ("shard.begun", "batch.computed")]
    plan.write_text(json.dumps(faults), encoding="utf-8")
    path = tmp_path / "corpus.jsonl"
    texts = sample_texts[:20]
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    settings = {"visibility_timeout_s": VISIBILITY_TIMEOUT_S, "lease_s": 60.0, "log_format": "json"}
    deployment = Deployment(home, sqlite_url, redis_url, fault_plan=str(plan), **settings)
    with (
        deployment.workers(name="models", kind="gpu"),
        deployment.workers(name="first") as first,
        deployment.workers(name="second") as second,
        closing(redis.Redis.from_url(client_url(redis_url))) as queue,
    ):
        # The first pass of the reconciler finds a Redis that it does not know, and sends again whatever is queued.
        until(lambda: bool(queue.exists(EPOCH)), "the reconciler knows the queue")
        counting = deployment.submit([path])
        modelling = deployment.submit(
            [path], operations=["summarize"], options={"backend": "textrank", "length": "short"}
        )
        until(lambda: fired_path(plan, 0).exists(), "the long shard has begun")
        until(lambda: any(received(home / f"worker-{name}.log") for name in ("first", "second")), "somebody has it")
        # Its main loop ends here, and what it has begun goes on.
        holder = first if received(home / "worker-first.log") else second
        holder.send_signal(signal.SIGTERM)
        views = [*deployment.wait(counting), *deployment.wait(modelling)]
        # A second message would have gone to who is idle, or wait for the only one who can take it.
        until(lambda: not queue.exists(QUEUE_CPU, QUEUE_GPU, UNACKED), "nothing is left in the queue")
    tried = [attempt for view in views for attempt in attempts_at(deployment, view["id"])]
    deployment.parts.engine.dispose()
    for view in views:
        assert view["state"] == "DONE"
        assert_adds_up(view)
    assert len({shard_id for shard_id, _, _ in tried}) == len(tried)
    assert {(number, outcome) for _, number, outcome in tried} == {(1, "done")}
    assert fired_path(plan, 1).exists()
    assert deployment.counts() == serial_counts(texts)
    assert sum(map(received, worker_logs(home))) == len(tried)
