"""A worker that is told to end: once, it finishes what it has; twice, it gives it back at once. Nothing is lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.engine import reading
from storage.fault_points import fired_path
from storage.schema import attempts, shards
from storage.states import ShardState
from tests.support.deployment import Deployment
from tests.support.mill_results import write_texts
from tests.support.serial_result import assert_equals_serial

pytestmark = pytest.mark.fault

TEXTS = [f"{number} 北京的天气很好,我们去公园散步。" for number in range(40)]
#: Seconds within which a worker that may not finish has ended; far below what its shard would take.
AT_ONCE_S = 180


@pytest.fixture
def mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    made = Deployment(home, sqlite_url, redis_url, lease_s=60.0, fault_plan=str(home / "plan.json"))
    yield made
    made.parts.engine.dispose()


def plan(mill: Deployment, wait_s: float) -> Callable[[], bool]:
    """Have the next shard take that long; return a function that says whether it has begun."""
    path = Path(mill.settings.fault_plan)
    fired_path(path, 0).unlink(missing_ok=True)
    fault = {"point": "shard.begun", "action": "wait", "wait_s": wait_s}
    path.write_text(json.dumps([fault]), encoding="utf-8")
    return fired_path(path, 0).exists


def states(mill: Deployment) -> list[str]:
    with reading(mill.parts.engine) as connection:
        return list(connection.scalars(select(shards.c.state)))


def outcomes(mill: Deployment) -> list[str | None]:
    with reading(mill.parts.engine) as connection:
        return list(connection.scalars(select(attempts.c.outcome).order_by(attempts.c.id)))


def test_a_worker_told_once_finishes_and_told_twice_gives_back(
    mill: Deployment, tmp_path: Path, until: Callable[[Callable[[], bool], str], None]
) -> None:
    submitted = mill.submit([write_texts(tmp_path / "a.jsonl", TEXTS)], shard_bytes=800)
    has_begun = plan(mill, 2.0)
    with mill.workers(name="once") as worker:
        until(has_begun, "a shard is being computed")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=180) == 0
    # What it had leased, and nothing else.
    assert outcomes(mill) == ["done"]
    assert states(mill).count(ShardState.LEASED) == 0

    has_begun = plan(mill, 600.0)
    with mill.workers(name="twice") as worker:
        until(has_begun, "a shard is being computed")
        worker.send_signal(signal.SIGTERM)
        until(lambda: "Warm shutdown" in log_of(mill, "twice"), "it is told")
        worker.send_signal(signal.SIGTERM)
        worker.wait(timeout=AT_ONCE_S)
    assert outcomes(mill) == ["done", "lost"]
    assert states(mill).count(ShardState.LEASED) == 0
    assert "worker.leases_returned" in log_of(mill, "twice")

    with mill.workers(name="last"):
        views = mill.wait(submitted)
    assert views[0]["losses"] == 0
    assert_equals_serial(mill, views, TEXTS)


def log_of(mill: Deployment, name: str) -> str:
    return (mill.settings.home / f"worker-{name}.log").read_text(encoding="utf-8")
