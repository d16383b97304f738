"""A message is for a task that there is, with arguments that it takes; everything else is refused with the reason."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from workers.celery_app import build_app
from workers.message_check import message_fault
from workers.settings import Settings


@pytest.fixture(scope="module")
def tasks() -> Any:
    app = build_app(Settings())
    app.loader.import_default_modules()
    return app.tasks


def message(payload: Any, **headers: Any) -> Any:
    told = {"task": "hanmill.run_shard", "id": "1", **headers}
    return SimpleNamespace(content_type="application/json", headers=told, body=b"", payload=payload)


GOOD = [[], {"shard": 1, "job": 2}, {}]


@pytest.mark.parametrize(
    ("payload", "headers"),
    [
        (GOOD, {}),
        (GOOD, {"timelimit": [None, None], "eta": None, "retries": 0, "expires": 60.0}),
        ([[], {"shard": 1, "job": 2, "of_a_later_version": [1]}, None], {"of_a_later_version": 1}),
        ([["news", [{"key": "a"}], ["count"]], {}, {}], {"task": "hanmill.ingest"}),
        ([["news", []], {"options": {"mode": "full"}}, {}], {"task": "hanmill.ingest"}),
    ],
)
def test_what_a_task_takes_passes(payload: Any, headers: dict[str, Any], tasks: Any) -> None:
    assert message_fault(message(payload, **headers), tasks, 100) is None


def test_the_first_form_of_celery_s_messages_is_understood(tasks: Any) -> None:
    first = message({"task": "hanmill.run_shard", "id": "1", "args": [], "kwargs": {"shard": 1, "job": 2}})
    del first.headers["task"]
    assert message_fault(first, tasks, 100) is None
    first.payload["kwargs"] = {"shard": "1"}
    assert message_fault(first, tasks, 100) is not None


@pytest.mark.parametrize(
    ("payload", "headers", "reason"),
    [
        (GOOD, {"task": "os.system"}, "no task"),
        (GOOD, {"task": "celery.chain"}, "no task"),
        (GOOD, {"task": None}, "names no task"),
        (GOOD, {"compression": "zlib"}, "compressed"),
        (GOOD, {"timelimit": "never"}, "timelimit"),
        (GOOD, {"retries": "many", "stamps": []}, "retries, stamps"),
        ([[], {"shard": 0, "job": 1}, {}], {}, "shard is not an id"),
        ([[], {"shard": 1, "job": 1.5}, {}], {}, "job is not an id"),
        ([[1], {}, {}], {}, "do not fit"),
        ([["news", []], {"options": [1]}, {}], {"task": "hanmill.ingest"}, "options is not a mapping"),
        ({"shard": 1}, {}, "its body"),
    ],
)
def test_what_no_task_takes_is_refused(payload: Any, headers: dict[str, Any], reason: str, tasks: Any) -> None:
    fault = message_fault(message(payload, **headers), tasks, 100)
    assert fault is not None
    assert reason in fault


def test_only_json_below_the_limit_passes(tasks: Any) -> None:
    pickled = message(GOOD)
    pickled.content_type = "application/x-python-serialize"
    assert "only JSON" in (message_fault(pickled, tasks, 100) or "")
    large = message(GOOD)
    large.body = b"0" * 101
    assert "HANMILL_MAX_MESSAGE_BYTES" in (message_fault(large, tasks, 100) or "")
