"""SIGKILL of the process that runs `hanmill run`: nothing of it stays, and the next run can begin at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from storage.errors import UsageError
from tests.support.processes import is_alive, wait_until
from workers.embedded import HomeLock, RunFile

REPOSITORY = Path(__file__).parents[2]

#: Stands in for `hanmill run`: a Redis, and a worker with one descendant that asks for no death signal of its own.
RUN = """
import sys, time
from pathlib import Path
from workers.embedded import Crew, EmbeddedRedis, HomeLock, RunFile

home = Path(sys.argv[1])
worker = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '600'])"]
with HomeLock(home), RunFile(home) as run_file, EmbeddedRedis.start(home, run_file):
    log = home / "logs" / "worker.log"
    with Crew(worker, nodename="embedded@host", environment={}, log_path=log, run_file=run_file):
        print("ready", flush=True)
        sys.stdin.read()
"""

#: The same without the death signal, as on a system whose kernel has none.
RUN_WITHOUT_DEATH_SIGNAL = """
from pathlib import Path
from workers.embedded import child
launcher = Path(sys.argv[1], "launcher.py")
launcher.parent.mkdir(exist_ok=True)
launcher.write_text("import os, sys\\nos.execvp(sys.argv[2], sys.argv[2:])\\n", encoding="utf-8")
child._LAUNCHER = launcher
"""


@pytest.fixture(autouse=True)
def _swept(home: Path) -> Iterator[None]:
    """End what a failed test has left behind, and remove what a killed run leaves on purpose."""
    yield
    RunFile(home).end_leftovers()


@contextmanager
def running(home: Path, script: str = RUN) -> Iterator[subprocess.Popen[bytes]]:
    """Have a run work in that home; it is killed at the end at the latest."""
    command = [sys.executable, "-c", script, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


def children_of(home: Path) -> dict[str, int]:
    """Return the pids that the run file names."""
    content = json.loads((home / "run.json").read_text(encoding="utf-8"))
    return {child["name"]: child["pid"] for child in content["children"]}


def socket_directory_of(home: Path) -> Path:
    """Return the directory of the run's Redis."""
    return Path(json.loads((home / "run.json").read_text(encoding="utf-8"))["socket_directory"])


def family_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the pids of a run's three descendants: the Redis, the worker, and what the worker has started."""
    run = psutil.Process(process.pid)
    wait_until(lambda: len(run.children(recursive=True)) == 3, "the worker's descendant")
    return [descendant.pid for descendant in run.children(recursive=True)]


def test_a_second_run_is_refused_while_the_first_works_and_welcome_after_it_was_killed(home: Path) -> None:
    with running(home) as first, pytest.raises(UsageError, match=f"pid {first.pid}, since"), HomeLock(home):
        pass
    with HomeLock(home):
        pass


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has a death signal")
def test_no_redis_and_no_worker_outlives_a_killed_run(home: Path) -> None:
    with running(home) as run:
        pids = children_of(home)
        assert set(pids) == {"Redis", "the worker embedded@host"}
    assert run.returncode == -signal.SIGKILL
    wait_until(lambda: not any(is_alive(pid) for pid in pids.values()), "the end of Redis and worker")


def test_the_next_run_removes_what_is_left_and_names_the_leases(home: Path) -> None:
    with running(home):
        worker = children_of(home)["the worker embedded@host"]
        directory = socket_directory_of(home)
    assert directory.exists()
    assert RunFile(home).end_leftovers() == [f"embedded@host/{worker}/"]
    assert not directory.exists()
    assert RunFile(home).end_leftovers() == []


def test_where_the_kernel_has_no_death_signal_the_next_run_ends_all_descendants(home: Path) -> None:
    with running(home, "import sys" + RUN_WITHOUT_DEATH_SIGNAL + RUN) as run:
        family = family_of(run)
    assert all(is_alive(pid) for pid in family)
    RunFile(home).end_leftovers()
    wait_until(lambda: not any(is_alive(pid) for pid in family), "the leftovers' end")


def test_a_run_that_ends_in_order_leaves_nothing_to_the_next(home: Path) -> None:
    with running(home) as run:
        family, directory = family_of(run), socket_directory_of(home)
        run.communicate(timeout=180)
    assert run.returncode == 0
    assert not any(is_alive(pid) for pid in family)
    assert not directory.exists()
    assert not (home / "run.json").exists()


def test_ctrl_c_in_the_terminal_ends_the_run_and_everything_it_started(home: Path) -> None:
    with running(home) as run:
        family = family_of(run)
        assert all(os.getsid(pid) != os.getsid(run.pid) for pid in family)
        run.send_signal(signal.SIGINT)
        run.communicate(timeout=180)
    assert not any(is_alive(pid) for pid in family)
    assert not (home / "run.json").exists()
