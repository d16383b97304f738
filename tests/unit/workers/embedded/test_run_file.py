"""The run file: what it says, and what is never touched because of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from storage.errors import HanmillError
from tests.support.processes import is_alive
from workers.embedded import run_file as run_file_module
from workers.embedded.run_file import RunFile, remove_socket_directory


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """Return a process that waits for its standard input to end."""
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield process


def write(home: Path, *children: dict[str, object], socket_directory: str = "") -> None:
    """Write a run file as a killed run leaves it."""
    content = {"pid": 1, "started_at": "", "socket_directory": socket_directory, "children": children}
    (home / "run.json").write_text(json.dumps(content), encoding="utf-8")


def test_the_file_says_who_runs_and_what_was_started(tmp_path: Path) -> None:
    run_file = RunFile(tmp_path)
    run_file.record_socket_directory(Path("/tmp/hanmill-abc"))
    run_file.record("worker", os.getpid(), "embedded@host")
    content = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert content["pid"] == os.getpid()
    assert content["socket_directory"] == "/tmp/hanmill-abc"
    assert content["children"] == [
        {
            "name": "worker",
            "pid": os.getpid(),
            "create_time": psutil.Process().create_time(),
            "nodename": "embedded@host",
        }
    ]


def test_a_process_started_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    run_file = RunFile(tmp_path)
    run_file.record("worker", os.getppid())
    run_file.record("worker", os.getpid())
    content = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert [child["pid"] for child in content["children"]] == [os.getpid()]


def test_leaving_the_context_removes_the_file(tmp_path: Path) -> None:
    with RunFile(tmp_path) as run_file:
        run_file.record("worker", os.getpid())
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_nothing_was_left_behind(tmp_path: Path) -> None:
    assert RunFile(tmp_path).end_leftovers() == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"children": []}', '{"socket_directory": "", "children": [{"a": 1}]}']
)
def test_a_damaged_file_is_warned_about_and_removed(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        assert RunFile(tmp_path).end_leftovers() == []
    assert "run.file_damaged" in caplog.text
    assert not (tmp_path / "run.json").exists()


def test_a_leftover_is_ended_and_its_worker_ids_are_named(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    RunFile(tmp_path).record("worker", bystander.pid, "embedded@host")
    assert RunFile(tmp_path).end_leftovers() == [f"embedded@host/{bystander.pid}/"]
    assert not is_alive(bystander.pid)
    assert not (tmp_path / "run.json").exists()


def test_another_process_that_got_the_same_pid_lives_on(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    create_time = psutil.Process(bystander.pid).create_time()
    write(
        tmp_path, {"name": "worker", "pid": bystander.pid, "create_time": create_time - 60, "nodename": "embedded@host"}
    )
    assert RunFile(tmp_path).end_leftovers() == [f"embedded@host/{bystander.pid}/"]
    assert bystander.poll() is None


def test_a_leftover_that_leads_no_group_does_not_take_its_group_along(
    tmp_path: Path, bystander: subprocess.Popen[bytes]
) -> None:
    # The bystander is in the group of these tests: they would end here.
    assert os.getpgid(bystander.pid) == os.getpgid(0)
    RunFile(tmp_path).record("Redis", bystander.pid)
    assert RunFile(tmp_path).end_leftovers() == []
    assert not is_alive(bystander.pid)


def test_a_process_that_is_gone_already_is_no_error(tmp_path: Path, bystander: subprocess.Popen[bytes]) -> None:
    bystander.communicate()
    RunFile(tmp_path).record("worker", bystander.pid, "embedded@host")
    assert RunFile(tmp_path).end_leftovers() == [f"embedded@host/{bystander.pid}/"]


def test_a_process_that_does_not_end_is_named(
    tmp_path: Path, bystander: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "kill", lambda _: None)
    monkeypatch.setattr(run_file_module, "KILLED_WAIT_S", 0.0)
    RunFile(tmp_path).record("the worker", bystander.pid)
    with pytest.raises(HanmillError, match=rf"the worker of an earlier run \(pid {bystander.pid}\) does not end"):
        RunFile(tmp_path).end_leftovers()
    assert (tmp_path / "run.json").exists()


def test_the_socket_directory_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    directory = tmp_path / "hanmill-abc"
    directory.mkdir()
    (directory / "redis.sock").touch()
    write(tmp_path, socket_directory=str(directory))
    RunFile(tmp_path).end_leftovers()
    assert not directory.exists()


def test_no_directory_of_another_name_and_no_foreign_file_is_removed(tmp_path: Path) -> None:
    precious, shared = tmp_path / "precious", tmp_path / "hanmill-abc"
    for directory, name in ((precious, "redis.sock"), (shared, "thesis.txt")):
        directory.mkdir()
        (directory / name).touch()
        remove_socket_directory(directory)
    assert (precious / "redis.sock").exists()
    assert (shared / "thesis.txt").exists()
