"""A worker's process that runs one shard and, by a plan of faults, stands still in the middle; a test wakes it later.

`python -m tests.support.zombie_process SHARD` works on the deployment that its environment names.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from storage.fault_points import fired_path
from tests.support.availability import REPOSITORY
from tests.support.processes import wait_until
from workers.bootstrap import parts
from workers.run_shard import run_shard
from workers.settings import Settings


class Zombie:
    """The process, seen from the test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def is_stopped(self) -> bool:
        """Say whether it stands still."""
        return psutil.Process(self._process.pid).status() == psutil.STATUS_STOPPED

    def wake(self) -> str:
        """Let it go on, and return how its attempt ended in its own view."""
        self._process.send_signal(signal.SIGCONT)
        output, _ = self._process.communicate(timeout=180)
        return output.strip()


@contextmanager
def zombie(settings: Settings, shard_id: int, point: str) -> Iterator[Zombie]:
    """Have a process run a shard and stop itself at a point; yields it as soon as it stands still."""
    plan = settings.home / "plan.json"
    plan.write_text(json.dumps([{"point": point, "action": "stop"}]), encoding="utf-8")
    own = {f"HANMILL_{name.upper()}": str(getattr(settings, name)) for name in settings.model_fields_set}
    environment = {**os.environ, **own, "HANMILL_FAULT_PLAN": str(plan)}
    command = [sys.executable, "-m", "tests.support.zombie_process", str(shard_id)]
    process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
    made = Zombie(process)
    try:
        wait_until(lambda: fired_path(plan, 0).exists() and made.is_stopped(), f"a process stands still at {point}")
        yield made
    finally:
        process.kill()
        process.communicate()
        fired_path(plan, 0).unlink(missing_ok=True)


def main() -> None:
    """Run the shard that the command line names."""
    ends = run_shard(parts(), int(sys.argv[1]), f"zombie@test/{os.getppid()}/{os.getpid()}")
    print(*(end.outcome for end in ends))  # noqa: T201 - what the test reads


if __name__ == "__main__":
    main()
