"""Runs a function in a process of its own that begins as a copy of this one: cheap, and it can be killed anywhere."""

from __future__ import annotations

import json
import multiprocessing
import signal
from collections.abc import Callable
from pathlib import Path

from storage import fault_points
from storage.engine import Engine
from storage.fault_points import fired_path

#: Seconds that such a process may take.
PATIENCE_S = 180.0
_FORKS = multiprocessing.get_context("fork")


def start(engine: Engine, work: Callable[[], object], plan: Path | None = None) -> multiprocessing.process.BaseProcess:
    """Start a process that does some work with connections of its own, and under a plan of faults."""

    def run() -> None:
        # A connection must never be shared by two processes.
        engine.dispose(close=False)
        fault_points.arm(str(plan) if plan else "")
        work()

    process = _FORKS.Process(target=run, daemon=True)
    process.start()
    return process


def killed_at(point: str, engine: Engine, work: Callable[[], object], directory: Path) -> None:
    """Do some work in a process that is killed at a point; fails when it does not come there."""
    plan = directory / f"{point}.json"
    plan.write_text(json.dumps([{"point": point, "action": "kill"}]), encoding="utf-8")
    process = start(engine, work, plan)
    process.join(PATIENCE_S)
    assert fired_path(plan, 0).exists(), f"{point} was not reached; the process ended with {process.exitcode}"
    assert process.exitcode == -signal.SIGKILL
