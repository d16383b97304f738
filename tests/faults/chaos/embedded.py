"""Plays a schedule of `hanmill run`: it is killed in the middle of its job, run again, and must come to the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select

from storage import jobs
from storage.engine import Engine, open_engine, reading
from storage.errors import HanmillError
from storage.schema import jobs as job_table
from tests.faults.chaos import checks
from tests.faults.chaos.feeds import key_of
from tests.faults.chaos.recovery import recoveries
from tests.faults.chaos.stage import Struck
from tests.support.availability import REPOSITORY

if TYPE_CHECKING:
    from tests.faults.chaos.arena import Arena
    from tests.faults.chaos.play import Played
    from tests.faults.chaos.schedule import Schedule

#: Seconds that a run may take.
BOUND_S = 90.0
#: Seconds between two looks.
LOOK_S = 0.02


def play_run(arena: Arena, schedule: Schedule, played: Played) -> None:
    """Run, kill as often as there are strikes, and run to the end, in a home of its own."""
    with tempfile.TemporaryDirectory(prefix="hm-run-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        path = home / "documents.jsonl"
        rows = [{"key": key_of(number), "text": text} for number, text in enumerate(schedule.texts)]
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        # The compiled dictionary of the arena: making it anew would take most of the time.
        (home / "cache").symlink_to(arena.deployment.settings.cache_dir)
        command = [sys.executable, "-m", "workers.cli.main", "run", str(path), "--corpus", "c", "--key-field", "key"]
        command += ["--shard-bytes", str(schedule.shard_bytes), "--workers", str(schedule.workers[0])]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HANMILL_")}
        environment |= {"HANMILL_HOME": str(home)}
        engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
        for one in sorted(schedule.strikes, key=lambda strike: strike.at):
            killed = _run_and_kill(command, environment, engine, home, one.at)
            if killed is not None:
                played.struck.append(killed)
        with (home / "run.out").open("ab") as stream:
            last = subprocess.run(
                command, env=environment, cwd=REPOSITORY, stdout=stream, stderr=stream, timeout=BOUND_S, check=False
            )
        if last.returncode:
            output = (home / "run.out").read_text(encoding="utf-8", errors="replace")
            played.differences.append(f"hanmill run ended with {last.returncode}: {output[-2000:]}")
            return
        played.compared, found = checks.differences(engine, "c", schedule.operations, schedule.texts)
        played.differences += found
        played.recovery_s = recoveries(engine, "c", played.struck)


def _run_and_kill(
    command: list[str], environment: dict[str, str], engine: Engine, home: Path, share: float
) -> Struck | None:
    """Start a run and kill it when so much of its job is done; None when it came to its end before."""
    with (home / "run.out").open("ab") as stream:
        process = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=stream, stderr=stream)
    deadline = time.monotonic() + BOUND_S
    while process.poll() is None and _share(engine, home) < share and time.monotonic() < deadline:
        time.sleep(LOOK_S)
    at = time.time()
    process.kill()
    code = process.wait()
    return Struck("kill_run", at, f"pid {process.pid} ended with {code}") if code == -signal.SIGKILL else None


def _share(engine: Engine, home: Path) -> float:
    """Return how much of the first job is done; -1 before there is one."""
    if not (home / "hanmill.db").exists():
        return -1.0
    with suppress(HanmillError, Exception), reading(engine) as connection:
        first = connection.scalar(select(job_table.c.id).order_by(job_table.c.id).limit(1))
        view = jobs.view(connection, first) if first is not None else None
        return view["shards_done"] / view["shards"] if view and view["shards"] else -1.0
    return -1.0
