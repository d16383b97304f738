"""Probes of real processes: what stops them, cuts them off, or keeps them busy, and what the probe says then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.support.deployment import REPOSITORY, Deployment, stop
from tests.support.mortal_redis import MortalRedis
from workers.probe import TOUCH_S, ProbeFiles

Until = Callable[[Callable[[], bool], str], None]

#: Seconds; short, so that a test need not wait for a minute.
STALE_S = 5.0


def probe(home: Path, question: str, *arguments: str) -> int:
    """Ask as a supervisor does; return the exit code."""
    command = [sys.executable, "-m", "workers.cli.main", "probe", question, "--stale-s", str(STALE_S), *arguments]
    environment = {**os.environ, "HANMILL_HOME": str(home)}
    return subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False).returncode


def signs(home: Path, name: str) -> Callable[[int], bool]:
    """Return whether a process has touched its file so many times since now."""
    files = ProbeFiles(home, name)
    seen = {files.alive.read_text(encoding="utf-8")}

    def came(times: int) -> bool:
        seen.add(files.alive.read_text(encoding="utf-8"))
        return len(seen) > times

    return came


@contextmanager
def beat(deployment: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    log = deployment.settings.home / "beat.log"
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--loglevel", "INFO"]
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=deployment.environment(), cwd=REPOSITORY)
    try:
        yield process
    finally:
        stop(process)


@pytest.fixture
def deployment(home: Path, sqlite_url: str, mortal_redis: MortalRedis) -> Iterator[Deployment]:
    """Return a deployment on SQLite: no probe looks at the database."""
    made = Deployment(home, sqlite_url, mortal_redis.url)
    yield made
    made.parts.engine.dispose()


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_without_a_broker_a_process_is_live_but_not_ready(
    deployment: Deployment, mortal_redis: MortalRedis, home: Path, until: Until, kind: str
) -> None:
    running = deployment.workers(name="worker") if kind == "worker" else beat(deployment)
    with running:
        until(lambda: probe(home, "ready", "--kind", kind) == 0, "it is ready")
        until(lambda: probe(home, "live", "--kind", kind) == 0, "it is live")
        mortal_redis.stop()
        until(lambda: probe(home, "ready", "--kind", kind) == 1, "it is ready no more")
        touched = signs(home, kind)
        until(lambda: touched(3), "it goes on to give signs of life")
        until(lambda: probe(home, "live", "--kind", kind) == 0, "it is live")
        mortal_redis.start()
        until(lambda: probe(home, "ready", "--kind", kind) == 0, "it is ready again")
    assert probe(home, "live", "--kind", kind) == 1


@pytest.mark.parametrize("kind", ["worker", "beat"])
def test_a_process_that_stands_still_is_not_live_until_it_goes_on(
    deployment: Deployment, home: Path, until: Until, kind: str
) -> None:
    running = deployment.workers(name="worker") if kind == "worker" else beat(deployment)
    with running as process:
        until(lambda: probe(home, "ready", "--kind", kind) == 0, "it is ready")
        process.send_signal(signal.SIGSTOP)
        try:
            until(lambda: probe(home, "live", "--kind", kind) == 1, "it is taken for hanging")
            assert probe(home, "ready", "--kind", kind) == 1
        finally:
            process.send_signal(signal.SIGCONT)
        until(lambda: probe(home, "ready", "--kind", kind) == 0, "it is well again")


def test_a_worker_whose_processes_are_busy_is_well(deployment: Deployment, home: Path, until: Until) -> None:
    with deployment.workers(2, "busy") as worker:
        until(lambda: probe(home, "ready", "--name", "busy") == 0, "it is ready")
        children = psutil.Process(worker.pid).children()
        for child in children:
            # As good as a computation that never ends: whoever asks them waits in vain.
            child.suspend()
        try:
            touched = signs(home, "busy")
            until(lambda: touched(1 + int(STALE_S / TOUCH_S)), "it goes on to give signs of life")
            until(lambda: probe(home, "live", "--name", "busy") == 0, "it is live")
            until(lambda: probe(home, "ready", "--name", "busy") == 0, "it is ready all the same")
        finally:
            for child in children:
                child.resume()


def test_a_worker_that_finishes_what_it_has_begun_is_live_and_not_ready(
    deployment: Deployment, home: Path, until: Until
) -> None:
    with deployment.workers(1, "busy") as worker:
        until(lambda: probe(home, "ready", "--name", "busy") == 0, "it is ready")
        (child,) = psutil.Process(worker.pid).children()
        child.suspend()
        try:
            worker.send_signal(signal.SIGTERM)
            until(lambda: probe(home, "ready", "--name", "busy") == 1, "it takes nothing more")
            touched = signs(home, "busy")
            until(lambda: touched(1 + int(STALE_S / TOUCH_S)), "it goes on to give signs of life")
            until(lambda: probe(home, "live", "--name", "busy") == 0, "it is live")
        finally:
            child.resume()
