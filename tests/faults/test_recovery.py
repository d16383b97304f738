"""How soon work goes on after a death: of a process, a worker, Redis. Prints the seconds; `make recovery` repeats it.

What holds whatever the machine's speed is asserted: where a lease must not be waited for, it is longer than the test.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import func, select

from storage.engine import reading
from storage.fault_points import fired_path
from storage.schema import attempts
from tests.support.deployment import REPOSITORY, Deployment, stop, wait_for
from tests.support.mortal_redis import MortalRedis
from workers.probe import ProbeFiles
from workers.probe_beat import BEAT

#: How often each fault is repeated; `make recovery` sets more.
REPEATS = int(os.environ.get("HANMILL_TEST_RECOVERIES", "1"))

#: Seconds of a lease that is not to be waited for.
LONG_LEASE_S = 600.0
#: Seconds of a lease that has to be waited for.
SHORT_LEASE_S = float(os.environ.get("HANMILL_TEST_LEASE_S") or (15.0 if REPEATS > 1 else 3.0))
#: Seconds for which Redis is away: long enough that whoever waits ever longer would come late.
AWAY_S = 15.0 if REPEATS > 1 else 1.5

#: Seconds within which whatever is waited for must have come; on a quiet machine it takes a tenth of it.
PATIENCE_S = 180.0 + SHORT_LEASE_S

pytestmark = [pytest.mark.fault, pytest.mark.timeout(4 * PATIENCE_S + 120.0 * REPEATS)]

#: The operation of each kind of worker, and the moment at which its shard is held.
HELD = {"cpu": ("count", {}, "shard.begun"), "gpu": ("summarize", {"backend": "textrank"}, "batch.computed")}


class Bench:
    """A deployment whose shards stand still where a test wants them to."""

    def __init__(self, home: Path, database_url: str, redis: MortalRedis, lease_s: float, **settings: Any) -> None:
        self.plan = home / "plan.json"
        values = {"lease_s": lease_s, "fault_plan": str(self.plan), **settings}
        self.deployment = Deployment(home, database_url, redis.url, **values)
        self._home = home
        self._jobs = 0

    def submit(self, kind: str) -> int:
        """Submit one new document to a kind of worker; return the job."""
        self._jobs += 1
        path = self._home / f"{self._jobs}.jsonl"
        path.write_text(json.dumps({"text": f"第{self._jobs}篇。今天天气很好。"}, ensure_ascii=False) + "\n")
        operation, options, _ = HELD[kind]
        submitted = self.deployment.submit([path], f"c{self._jobs}", operations=[operation], options=options)
        return submitted.jobs[0].id

    def hold(self, kind: str) -> tuple[int, int]:
        """Submit a shard that stands still in its first attempt; return its job, and the process that runs it."""
        fired_path(self.plan, 0).unlink(missing_ok=True)
        self.plan.write_text(json.dumps([{"point": HELD[kind][2], "action": "wait", "wait_s": 600.0}]))
        job_id = self.submit(kind)
        fired = fired_path(self.plan, 0)
        self.until(lambda: fired.exists() and fired.read_text(encoding="utf-8"), "a process holds the shard")
        return job_id, json.loads(fired.read_text(encoding="utf-8"))["pid"]

    def until(self, condition: Callable[[], Any], what: str) -> float:
        """Wait for a condition; return how many seconds it took."""
        started = time.monotonic()
        wait_for(condition, PATIENCE_S, lambda: what)
        return time.monotonic() - started

    def has_tried(self, job_id: int, times: int) -> bool:
        """Say whether so many attempts have been begun at a job."""
        statement = select(func.count()).select_from(attempts).where(attempts.c.job_id == job_id)
        with reading(self.deployment.parts.engine) as connection:
            return int(connection.scalar(statement) or 0) >= times

    def end(self, job_id: int) -> None:
        """Wait for a job's good end."""
        self.until(lambda: self.deployment.view(job_id)["state"] == "DONE", "the job is done")


@contextmanager
def running_beat(deployment: Deployment) -> Iterator[None]:
    """Have a beat run for the time of the context; it sends often, so that it soon notices whether it can."""
    environment = {**deployment.environment(), "HANMILL_RECONCILE_INTERVAL_S": "5"}
    command = [sys.executable, "-m", "workers.cli.main", "beat"]
    with (deployment.settings.home / "beat.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=REPOSITORY)
    try:
        yield
    finally:
        stop(process)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


def report(fault: str, seconds: list[float]) -> None:
    """Print the figures of a fault."""
    median, worst = statistics.median(seconds), max(seconds)
    print(f"RECOVERY {fault}: median {median:.2f} s, worst {worst:.2f} s of {len(seconds)}")  # noqa: T201 - measured


def killed_processes(bench: Bench, kind: str) -> list[float]:
    """Kill the process that holds a shard, time and again; return the seconds until the shard runs again."""
    seconds = []
    for _ in range(REPEATS):
        job_id, process_id = bench.hold(kind)
        os.kill(process_id, signal.SIGKILL)
        seconds.append(bench.until(partial(bench.has_tried, job_id, 2), "it runs again"))
        bench.end(job_id)
    return seconds


def killed_before_leasing(bench: Bench) -> list[float]:
    """Kill the process that was given a message, before it has a lease; return the seconds until the shard runs."""
    seconds = []
    for _ in range(REPEATS):
        fired = fired_path(bench.plan, 0)
        fired.unlink(missing_ok=True)
        bench.plan.write_text(json.dumps([{"point": "shard.unleased", "action": "kill"}]))
        job_id = bench.submit("cpu")
        bench.until(fired.exists, "a process is dead")
        seconds.append(bench.until(partial(bench.has_tried, job_id, 1), "its shard runs"))
        bench.end(job_id)
    return seconds


def restarts_of_redis(bench: Bench, mortal_redis: MortalRedis, ready: Path) -> dict[str, list[float]]:
    """Have Redis away, and empty when it is back; return the seconds until each kind of process goes on."""
    seconds: dict[str, list[float]] = {"cpu worker": [], "gpu worker": [], "beat": []}
    for _ in range(REPEATS):
        mortal_redis.stop()
        job_ids = {kind: bench.submit(kind) for kind in HELD}
        bench.until(lambda: not ready.exists(), "the beat has something to send, and cannot")
        bench.until(partial(have_passed, time.monotonic(), AWAY_S), "Redis is away for long")
        mortal_redis.start()
        started = time.monotonic()
        for kind, job_id in job_ids.items():
            bench.until(partial(bench.has_tried, job_id, 1), f"the {kind} worker works again")
            seconds[f"{kind} worker"].append(time.monotonic() - started)
        bench.until(ready.exists, "the beat sends again")
        seconds["beat"].append(time.monotonic() - started)
        for job_id in job_ids.values():
            bench.end(job_id)
    return seconds


def have_passed(since: float, seconds: float) -> bool:
    return time.monotonic() - since > seconds


def test_after_the_death_of_a_process_or_of_redis_everybody_goes_on_within_seconds(
    home: Path, sqlite_url: str, mortal_redis: MortalRedis, stack: ExitStack
) -> None:
    bench = Bench(home, sqlite_url, mortal_redis, LONG_LEASE_S, reconcile_interval_s=LONG_LEASE_S)
    stack.callback(bench.deployment.parts.engine.dispose)
    stack.enter_context(running_beat(bench.deployment))
    for kind in HELD:
        stack.enter_context(bench.deployment.workers(name=kind, kind=kind))
    for kind in HELD:
        report(f"process of a {kind} worker killed", killed_processes(bench, kind))
    report("process of a cpu worker killed before it has a lease", killed_before_leasing(bench))
    for who, seconds in restarts_of_redis(bench, mortal_redis, ProbeFiles(home, BEAT).ready).items():
        report(f"Redis away for {AWAY_S:.0f} s and back without memory: {who}", seconds)


def test_the_shard_of_a_killed_worker_runs_again_when_its_lease_is_over(
    home: Path, sqlite_url: str, mortal_redis: MortalRedis, stack: ExitStack
) -> None:
    bench = Bench(home, sqlite_url, mortal_redis, SHORT_LEASE_S, reconcile_interval_s=1.0)
    stack.callback(bench.deployment.parts.engine.dispose)
    for number in range(2):
        stack.enter_context(bench.deployment.workers(name=f"w{number}"))
    seconds = []
    for number in range(REPEATS):
        job_id, process_id = bench.hold("cpu")
        main = psutil.Process(process_id).parent()
        assert main is not None
        main.kill()
        seconds.append(bench.until(partial(bench.has_tried, job_id, 2), "it runs again"))
        bench.end(job_id)
        if number + 1 < REPEATS:
            stack.enter_context(bench.deployment.workers(name=f"w{number + 2}"))
    report(f"whole worker killed, lease {SHORT_LEASE_S:.0f} s", seconds)
