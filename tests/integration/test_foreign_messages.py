"""What is no message of ours, put straight into Redis by somebody who may: refused, logged, set aside; work goes on."""

from __future__ import annotations

import base64
import bz2
import json
import pickle
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from storage.broker_state import RedisState, client_url
from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, REFUSED
from storage.refused_messages import KEPT, RefusedMessages, refused_now
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import serial_counts

#: A file that is there as soon as anybody unpickles what a test sends.
CANARY = "unpickled"
#: The channel by which Celery sends remote control to every worker.
REMOTE_CONTROL = "/0.celery.pidbox"
TEXTS = ["明月几时有", "把酒问青天", "不知天上宫阙"]
DEEP = "[" * 100_000 + "]" * 100_000


class _Bomb:
    def __init__(self, canary: Path) -> None:
        self._canary = canary

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self._canary,)


def envelope(body: bytes | str, task: object = "hanmill.run_shard", **changes: Any) -> dict[str, Any]:
    """Return a message as kombu writes it."""
    raw = body if isinstance(body, bytes) else body.encode()
    return {
        "body": base64.b64encode(raw).decode(),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "py", "task": task, "id": "7d1a", "argsrepr": "()", "kwargsrepr": "{}"},
        "properties": {
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": QUEUE_CPU},
            "body_encoding": "base64",
            "delivery_tag": "0c4e",
        },
        **changes,
    }


def call(args: list[Any], kwargs: dict[str, Any], task: object = "hanmill.run_shard", **headers: Any) -> dict[str, Any]:
    """Return a message that calls a task."""
    made = envelope(
        json.dumps([args, kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]), task
    )
    made["headers"].update(headers)
    return made


def serialized(content_type: str, body: bytes, encoding: str = "binary") -> dict[str, Any]:
    return envelope(body, **{"content-type": content_type, "content-encoding": encoding})


def compressed(kind: str, body: bytes) -> dict[str, Any]:
    made = envelope(body)
    made["headers"]["compression"] = kind
    return made


def foreign(canary: Path) -> dict[str, bytes]:
    """Return what an attacker, or a mistake, puts into a queue."""
    bomb = pickle.dumps([[], {"shard": _Bomb(canary)}, {}])
    good = json.dumps([[], {"shard": 1, "job": 1}, {}]).encode()
    without_tag = envelope(good)
    del without_tag["properties"]["delivery_tag"]
    messages: dict[str, Any] = {
        "pickle": serialized("application/x-python-serialize", bomb),
        "pickle that says it is JSON": envelope(bomb),
        "yaml": serialized("application/x-yaml", b"!!python/object/apply:os.system ['true']", "utf-8"),
        "msgpack": serialized("application/x-msgpack", b"\x93\x90\x80\x80"),
        "raw bytes": serialized("application/data", good),
        "zlib": compressed("application/x-gzip", zlib.compress(good)),
        "bz2 bomb": compressed("application/x-bz2", bz2.compress(b"0" * 10_000_000)),
        "another charset": serialized("application/json", good, "utf-16"),
        "no task": envelope(good, task=None),
        "a task that is no name": envelope(good, task=["hanmill.run_shard"]),
        "unknown task": call([], {}, "os.system"),
        "Celery's own task": call([{"task": "hanmill.run_shard"}, [1]], {}, "celery.map"),
        "no arguments": call([], {}),
        "too many arguments": call([1, 2, 3], {}),
        "negative id": call([], {"shard": -1, "job": 1}),
        "id beyond any database's": call([], {"shard": 2**63, "job": 1}),
        "id that is true": call([], {"shard": True, "job": 1}),
        "id that is SQL": call([], {"shard": "1; DROP TABLE shards", "job": 1}),
        "ingest without documents": call(["news"], {}, "hanmill.ingest"),
        "ingest of a string": call(["news", "今天"], {}, "hanmill.ingest"),
        "operations that are numbers": call(["news", [], [1]], {}, "hanmill.ingest"),
        "run that is a list": call([], {"run": [1]}, "hanmill.start_run"),
        "body that is no list": envelope("{}"),
        "body without arguments": envelope("[]"),
        "body of other kinds": envelope('[{}, [], "x"]'),
        "body that is no JSON": envelope("{'shard': 1}"),
        "body in bad UTF-8": envelope(b"[[], {}, \xff]"),
        "deep body": envelope(DEEP),
        "body that is no base64": {**envelope(good), "body": "%%%"},
        "body that is a number": {**envelope(good), "body": 7},
        "no headers": {**envelope(good), "headers": None},
        "headers that are a list": {**envelope(good), "headers": ["task"]},
        "no properties": {**envelope(good), "properties": None},
        "no delivery tag": without_tag,
        "limits that are words": call([], {"shard": 1, "job": 1}, timelimit="never"),
        "time that is none": call([], {"shard": 1, "job": 1}, eta="soon", expires={"a": 1}),
        "a list": [1, 2, 3],
        "a number": 7,
        "null": None,
    }
    raw = {name: json.dumps(message).encode() for name, message in messages.items()}
    return {
        **raw,
        "nothing": b"",
        "no JSON": b"shard 17, please",
        "bad UTF-8": b'{"body": "\xff\xfe"}',
        "deep JSON": DEEP.encode(),
        "pickle alone": bomb,
        "huge": b'{"body": "' + b"0" * 2_000_000 + b'"}',
    }


@pytest.fixture
def small(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    """Return a deployment in which a megabyte is too large a message."""
    made = Deployment(home, sqlite_url, redis_url, max_message_bytes=1_000_000)
    yield made
    made.parts.engine.dispose()


def test_what_is_no_message_of_ours_is_set_aside_and_the_worker_goes_on(
    small: Deployment, redis_url: str, tmp_path: Path, until: Callable[[Callable[[], bool], str], None]
) -> None:
    for number, text in enumerate(TEXTS):
        (tmp_path / f"{number}.txt").write_text(text, encoding="utf-8")
    client = redis.Redis.from_url(client_url(redis_url))
    messages = foreign(tmp_path / CANARY)
    with small.workers(1) as worker:
        until(lambda: client.pubsub_numpat() > 0, "the worker listens to remote control")
        assert all(client.publish(REMOTE_CONTROL, message) for message in messages.values())
        for number, message in enumerate(messages.values()):
            client.lpush((QUEUE_CPU, QUEUE_CONTROL)[number % 2], message)
        until(lambda: client.llen(REFUSED) >= len(messages) or worker.poll() is not None, "all are refused")
        (view,) = small.wait(small.submit(sorted(tmp_path.glob("*.txt")), shard_bytes=10))
        assert worker.poll() is None
        # Remote control still answers: an operator and Flower see the worker.
        assert small.publisher._app.control.ping(timeout=5.0)
        until(lambda: not client.hlen("unacked"), "nothing is held back")
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert small.counts() == serial_counts(TEXTS)
    assert not (tmp_path / CANARY).exists()
    log = (small.settings.home / "worker-test.log").read_text(encoding="utf-8")
    assert log.count("message.refused") >= len(messages)
    assert "Traceback" not in log
    assert "DROP TABLE" not in log, "what a stranger sends is no part of the log"


def test_only_the_newest_refused_messages_are_kept(redis_url: str) -> None:
    kept = RefusedMessages(redis_url)
    for number in range(KEPT + 5):
        kept.put(refused_now(QUEUE_CPU, f"number {number}", b"\xff" * 10_000))
    found = kept.newest_first()
    kept.close()
    assert [one.reason for one in found] == [f"number {number}" for number in reversed(range(5, KEPT + 5))]
    assert found[0].size_bytes == 10_000
    assert len(found[0].excerpt) < 10_000


def test_the_reconciler_reads_a_queue_in_which_others_have_written(redis_url: str, tmp_path: Path) -> None:
    client = redis.Redis.from_url(client_url(redis_url))
    for number, message in enumerate(foreign(tmp_path / CANARY).values()):
        client.lpush(QUEUE_CPU, message)
        client.hset("unacked", str(number), message)
        client.zadd("unacked_index", {str(number): 4e9})
    client.lpush(QUEUE_CPU, json.dumps({"headers": {"shard": 17}}))
    state = RedisState(redis_url)
    assert state.shards_in([QUEUE_CPU], 60.0) == {17}
    assert state.in_flight()[QUEUE_CONTROL] > 0
    state.close()
    client.close()
