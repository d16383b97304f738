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


def test_a_model_worker_spawns_one_process_a_device(
    poems: Path, invoke: Invoke, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANMILL_DEVICE", "auto")
    assert invoke("worker", "gpu", "--device", "cpu", "--name", "models1").exit_code == 0
    (command,) = became
    options = " ".join(command)
    for part in (
        "--pool prefork",
        "--concurrency 1",
        "--queues hanmill.gpu,hanmill.control",
        "worker.pool_start_method=spawn",
    ):
        assert part in options
    assert "solo" not in options
    assert os.environ["HANMILL_DEVICE"] == "cpu"


def test_a_device_that_is_not_there_is_named_before_anything_starts(
    poems: Path, invoke: Invoke, became: list[list[str]]
) -> None:
    shown = invoke("worker", "gpu", "--device", "cuda:77")
    assert (shown.exit_code, became) == (2, [])
    assert "cuda:77 is not here" in shown.stderr


def test_a_worker_for_the_cpu_takes_no_device(poems: Path, invoke: Invoke, became: list[list[str]]) -> None:
    shown = invoke("worker", "cpu", "--device", "cuda:0")
    assert (shown.exit_code, became) == (2, [])
