"""`hanmill flower` becomes Celery's command with our configuration, once it is sure that it may and can."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from tests.support.availability import REPOSITORY, need_module

need_module("flower")

from tests.support.flower_server import free_port
from tests.unit.workers.cli.conftest import Invoke


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Return the command lines of the processes that a command became."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: commands.append([program, *command[1:]]))
    return commands


def test_it_becomes_celerys_command_with_our_configuration(invoke: Invoke, became: list[list[str]], home: Path) -> None:
    port = free_port()
    shown = invoke("flower", "--port", port, "--url-prefix", "flower")
    assert shown.exit_code == 0, shown.stderr
    (command,) = became
    assert command[:5] == [sys.executable, "-P", "-m", "workers.cli.celery_process", "flower"]
    assert command[5:] == [
        f"--conf={REPOSITORY / 'workers' / 'flower' / 'flowerconfig.py'}", "--logging=none",
        "--address=127.0.0.1", f"--port={port}", "--read_only=True", "--url_prefix=flower",
    ]  # fmt: skip
    assert f"log in as hanmill with the password in {home / 'flower' / 'password'}" in shown.stderr


def test_a_page_that_can_stop_workers_is_asked_for(
    invoke: Invoke, became: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANMILL_FLOWER_USERS", "ops:secret")
    shown = invoke("flower", "--port", free_port(), "--writable")
    assert shown.exit_code == 0, shown.stderr
    assert "--read_only=False" in became[0]
    assert "log in" not in shown.stderr


def test_https_wants_both_files_and_they_must_be_there(invoke: Invoke, became: list[list[str]], tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.touch()
    port = free_port()
    half = invoke("flower", "--port", port, "--certificate", certificate)
    assert (half.exit_code, "both" in half.stderr) == (2, True)
    missing = invoke("flower", "--port", port, "--certificate", certificate, "--key", key)
    assert (missing.exit_code, f"{key} cannot be read" in missing.stderr) == (2, True)
    key.touch()
    assert invoke("flower", "--port", port, "--certificate", certificate, "--key", key).exit_code == 0
    assert became[0][7:9] == [f"--certfile={certificate}", f"--keyfile={key}"]


def test_a_port_that_is_taken_is_named(invoke: Invoke, became: list[list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        shown = invoke("flower", "--port", port)
    assert (shown.exit_code, became) == (2, [])
    assert f"cannot listen on 127.0.0.1:{port}" in shown.stderr


@pytest.mark.parametrize("address", ["0.0.0.0", "", "::"])  # noqa: S104 - refused
def test_it_refuses_other_machines_without_a_password(invoke: Invoke, became: list[list[str]], address: str) -> None:
    shown = invoke("flower", "--address", address)
    assert (shown.exit_code, became) == (2, [])
    assert "HANMILL_FLOWER_USERS" in shown.stderr


def test_it_shows_the_run_that_goes_on_in_its_home(
    invoke: Invoke, became: list[list[str]], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANMILL_BROKER_URL", "")
    monkeypatch.delenv("HANMILL_BROKER_URL")
    content = {"pid": 1, "started_at": "", "socket_directory": str(home), "children": []}
    (home / "run.json").write_text(json.dumps(content), encoding="utf-8")
    invoke("flower", "--port", free_port())
    assert "HANMILL_BROKER_URL" not in os.environ, "the run is over: nobody listens"
    with socket.socket(socket.AF_UNIX) as redis:
        redis.bind(str(home / "redis.sock"))
        shown = invoke("flower", "--port", free_port())
    assert os.environ["HANMILL_BROKER_URL"] == f"redis+socket://{home}/redis.sock"
    assert "the `hanmill run` that goes on here" in shown.stderr
    assert len(became) == 2
