from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.unit.workers.cli.conftest import Invoke


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the command lines of the processes that a command became."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append([program, *command[1:]]))
    return commands


def test_a_worker_is_a_celery_worker_on_the_right_queues(poems: Path, invoke: Invoke, became: list[list[str]]) -> None:
    assert invoke("worker", "cpu", "-c", 3, "--name", "mill1").exit_code == 0
    (command,) = became
    assert command[:5] == [sys.executable, "-P", "-m", "workers.cli.celery_process", "worker"]
    options = " ".join(command)
    for part in ("--concurrency 3", "--hostname mill1@%h", "--queues hanmill.cpu,hanmill.control"):
        assert part in options
    assert "--without-gossip" in command
    assert "--without-mingle" in command


def test_a_beat_is_a_celery_beat(poems: Path, invoke: Invoke, became: list[list[str]]) -> None:
    assert invoke("beat").exit_code == 0
    assert became[0][4] == "beat"


def test_there_is_no_gpu_worker_yet(invoke: Invoke, became: list[list[str]]) -> None:
    shown = invoke("worker", "gpu")
    assert shown.exit_code == 2
    assert "no GPU workers" in shown.stderr
    assert became == []
