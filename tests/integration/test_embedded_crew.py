"""The crew with real processes: started, started again when killed, given up when it keeps dying, stopped."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from storage.errors import HanmillError
from tests.support.processes import is_alive, wait_until
from workers.embedded import Crew, RunFile
from workers.embedded import child as child_module

#: Stands in for a worker: says that it is ready, finishes politely on SIGTERM.
WORKER = """
import os, signal, sys
signal.signal(signal.SIGTERM, lambda *_: (print("finished", os.environ["WORD"], flush=True), sys.exit()))
print("ready", os.getpid(), os.getsid(0), flush=True)
while True: signal.pause()
"""


def make_crew(home: Path, script: str = WORKER) -> Crew:
    """Describe a worker that runs a script."""
    return Crew(
        [sys.executable, "-c", script],
        nodename="embedded@host",
        environment={"WORD": "词"},
        log_path=home / "logs" / "worker.log",
        run_file=RunFile(home),
    )


def log_of(home: Path) -> str:
    """Return what the worker has said so far."""
    return (home / "logs" / "worker.log").read_text(encoding="utf-8")


def wait_ready(home: Path, crew: Crew) -> None:
    """Wait until the present worker process says that it is ready."""
    wait_until(lambda: f"ready {crew.pid} {crew.pid}\n" in log_of(home), "a worker that leads a session of its own")


def kill(crew: Crew) -> None:
    """Kill the worker and wait until its parent could notice."""
    os.kill(crew.pid, signal.SIGKILL)
    wait_until(lambda: not crew.is_running(), "the worker's end")


def test_a_worker_runs_out_of_reach_of_the_terminals_ctrl_c_and_is_left_alone_while_it_lives(home: Path) -> None:
    with make_crew(home) as crew:
        wait_ready(home, crew)
        assert crew.tend() == []
        assert crew.prefix == f"embedded@host/{crew.pid}/"


def test_a_killed_worker_is_started_again_and_its_leases_are_named_once(home: Path) -> None:
    with make_crew(home) as crew:
        wait_ready(home, crew)
        died = crew.prefix
        kill(crew)
        assert crew.tend() == [died]
        assert crew.tend() == []
        assert crew.prefix != died
        wait_ready(home, crew)


def test_a_worker_that_keeps_dying_is_an_error_with_its_last_words(home: Path) -> None:
    with make_crew(home, "raise SystemExit('no such queue')") as crew:
        for _ in range(child_module.MAX_DEATHS):
            wait_until(lambda: not crew.is_running(), "the worker's end")
            crew.tend()
        wait_until(lambda: not crew.is_running(), "the worker's end")
        with pytest.raises(HanmillError, match=r"(?s)the worker embedded@host died 6 times .*\n  no such queue$"):
            crew.tend()


def test_a_stopped_worker_has_finished_what_it_began(home: Path) -> None:
    with make_crew(home) as crew:
        wait_ready(home, crew)
        crew.stop(30)
        assert log_of(home).endswith("finished 词\n")
    assert not is_alive(crew.pid)


def test_a_worker_that_is_not_done_within_the_grace_is_killed(home: Path) -> None:
    script = WORKER.replace('(print("finished", os.environ["WORD"], flush=True), sys.exit())', "None")
    with make_crew(home, script) as crew:
        wait_ready(home, crew)
        crew.stop(0)
        assert not is_alive(crew.pid)
