"""Whatever befalls Redis or its messages, a job ends by itself, and with the results of a serial run.

One worker lives through all of it, as it must: nobody starts it again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from sqlalchemy import select

from storage.engine import reading
from storage.redis_keys import QUEUE_CPU, UNACKED
from storage.schema import attempts
from tests.support.deployment import Deployment
from tests.support.mortal_redis import MortalRedis
from tests.support.serial_result import assert_equals_serial
from workers.submit import Submitted

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

Until = Callable[[Callable[[], bool], str], None]
Fault = Callable[["Mill"], None]

VISIBILITY_TIMEOUT_S = 1.0
#: Milliseconds for which Redis stands still: longer than the visibility timeout.
PAUSE_MS = 2_500
#: Documents of a job, and shards that they are cut into.
DOCUMENTS, SHARDS = 40, 12
#: A shard that no ledger knows.
UNKNOWN_SHARD = 987_654_321


class Mill:
    """A deployment with one worker, and the Redis between it and the test."""

    def __init__(
        self, home: Path, database_url: str, mortal_redis: MortalRedis, until: Until, lease_s: float = 5.0
    ) -> None:
        self.redis = mortal_redis
        self.until = until
        plan = home / "plan.json"
        # So that no machine is done with a job before its fault strikes.
        plan.write_text(json.dumps([{"point": "shard.begun", "action": "wait", "wait_s": 0.1, "times": 500}]))
        self.deployment = Deployment(
            home,
            database_url,
            mortal_redis.url,
            lease_s=lease_s,
            visibility_timeout_s=VISIBILITY_TIMEOUT_S,
            reconcile_interval_s=1.0,
            fault_plan=str(plan),
        )
        self._home = home
        self.log = home / "worker-test.log"

    def submit(self, corpus: str, texts: list[str]) -> Submitted:
        """Submit some texts to be counted and cut, in many shards."""
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
        path = self._home / f"{corpus}.jsonl"
        path.write_text("".join(lines), encoding="utf-8")
        return self.deployment.submit(
            [path], corpus, operations=["count", "tokenize"], shard_bytes=path.stat().st_size // SHARDS
        )

    def is_settled(self) -> bool:
        """Say whether no message about a shard is left, waiting or in a worker's hands."""
        with self.redis.client() as client:
            return not client.exists(QUEUE_CPU, UNACKED)

    def says(self, words: str, since: int) -> bool:
        """Say whether the worker has logged some words after so many characters."""
        return words in self.log.read_text(encoding="utf-8")[since:]


def kill(mill: Mill) -> None:
    mill.redis.stop()
    mill.redis.start()


def flush(mill: Mill) -> None:
    with mill.redis.client() as client:
        client.flushall()


def pause(mill: Mill) -> None:
    with mill.redis.client() as client:
        client.client_pause(PAUSE_MS)
        # Answered when the pause is over.
        assert client.ping()


def stand_still(mill: Mill) -> None:
    with mill.redis.standing_still():
        mill.until(have_passed(PAUSE_MS / 1000), "longer than the visibility timeout")


def have_passed(seconds: float) -> Callable[[], bool]:
    """Return whether so many seconds have passed since now."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline


def fill(mill: Mill) -> None:
    """Leave Redis without a free byte until the worker has said so, and longer."""
    said = mill.log.stat().st_size
    with mill.redis.client() as client:
        client.config_set("maxmemory", 1)
        mill.until(lambda: mill.says("maxmemory", said), "the operator is told")
        mill.until(have_passed(1.0), "Redis is full for long")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            client.set("key", "value")
        client.config_set("maxmemory", 0)


FAULTS: list[Fault] = [kill, flush, pause, stand_still, fill]


def test_what_befalls_redis_changes_no_result(
    home: Path,
    database_url: str,
    mortal_redis: MortalRedis,
    sample_texts: list[str],
    until: Until,
    subtests: pytest.Subtests,
) -> None:
    mill = Mill(home, database_url, mortal_redis, until)
    with mill.deployment.workers(2) as worker:
        for number, fault in enumerate(FAULTS):
            texts = [f"{number} {text}" for text in sample_texts[:DOCUMENTS]]
            with subtests.test(fault.__name__):
                submitted = mill.submit(fault.__name__, texts)
                first = submitted.jobs[0].id
                until(lambda: mill.deployment.view(first)["shards_done"] >= 2, "the job is under way")  # noqa: B023
                fault(mill)
                views = mill.deployment.wait(submitted)
                assert_equals_serial(mill.deployment, views, texts, fault.__name__)
                assert worker.poll() is None
                until(mill.is_settled, "no message is left")
    mill.deployment.parts.engine.dispose()


def test_messages_that_come_twice_late_or_for_nothing_change_no_result(
    home: Path, database_url: str, mortal_redis: MortalRedis, sample_texts: list[str], until: Until
) -> None:
    # Where nobody dies, no lease may lapse, however busy the machine is.
    mill = Mill(home, database_url, mortal_redis, until, lease_s=60.0)
    texts = sample_texts[:DOCUMENTS]
    submitted = mill.submit("news", texts)
    job_id = submitted.jobs[0].id
    mill.deployment.publisher.publish_shards(QUEUE_CPU, [UNKNOWN_SHARD], job_id)
    with mill.redis.client() as client:
        messages = client.lrange(QUEUE_CPU, 0, -1)
        assert len(messages) > SHARDS
        client.lpush(QUEUE_CPU, *(again(message, "twice") for message in messages))
        with mill.deployment.workers(2):
            views = mill.deployment.wait(submitted)
            client.lpush(QUEUE_CPU, *(again(message, "late") for message in messages))
            until(lambda: not client.exists(QUEUE_CPU, UNACKED), "every message was taken and forgotten")
            late = mill.deployment.wait(submitted)
    assert late == views
    assert_equals_serial(mill.deployment, views, texts)
    assert len(attempts_of(mill.deployment)) == len(set(attempts_of(mill.deployment)))
    mill.deployment.parts.engine.dispose()


def again(message: bytes | str, name: str) -> str:
    """Return a message as a broker delivers it another time: the same task, under a tag of its own."""
    copy = json.loads(message)
    copy["properties"]["delivery_tag"] += name
    return json.dumps(copy)


def attempts_of(deployment: Deployment) -> list[int]:
    """Return the shard of every attempt that was begun."""
    with reading(deployment.parts.engine) as connection:
        return list(connection.scalars(select(attempts.c.shard_id)))
