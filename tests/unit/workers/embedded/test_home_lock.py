"""The lock of a home: one run at a time, and the second one learns about the first."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
from pathlib import Path

import pytest

from storage.errors import UsageError
from workers.embedded.home_lock import HomeLock


def refusal(home: Path) -> str:
    """Return what a second run is told."""
    with pytest.raises(UsageError) as caught, HomeLock(home):
        pass
    return str(caught.value)


def test_a_second_run_is_refused_with_the_firsts_pid_and_start(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        text = refusal(tmp_path)
    expected = (
        rf"another `hanmill run` \(pid {os.getpid()}, since \d\d:\d\d:\d\d\) works in {re.escape(str(tmp_path))}; "
    )
    assert re.match(expected, text)
    assert text.endswith("wait for it or set HANMILL_HOME")


def test_a_run_that_started_on_another_day_is_shown_with_its_date(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        holder = {"pid": 12, "started_at": "2024-02-29T12:00:00+00:00"}
        (tmp_path / "run.lock").write_text(json.dumps(holder), encoding="utf-8")
        assert re.search(r"\(pid 12, since 2024-(02-29|03-01) \d\d:\d\d:00\) works", refusal(tmp_path))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started_at": "2024-02-29"}'])
def test_a_lock_that_does_not_say_who_holds_it_is_still_respected(tmp_path: Path, content: str) -> None:
    with HomeLock(tmp_path):
        (tmp_path / "run.lock").write_text(content, encoding="utf-8")
        assert refusal(tmp_path).startswith("another `hanmill run` works in ")


def test_the_lock_is_free_after_the_run_and_after_a_failed_one(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        pass
    with pytest.raises(ZeroDivisionError), HomeLock(tmp_path):
        raise ZeroDivisionError
    with HomeLock(tmp_path):
        pass


def test_the_refused_run_does_not_take_the_lock_from_the_first(tmp_path: Path) -> None:
    with HomeLock(tmp_path):
        assert refusal(tmp_path) == refusal(tmp_path)


def test_two_homes_do_not_disturb_each_other(tmp_path: Path) -> None:
    with HomeLock(tmp_path / "一"), HomeLock(tmp_path / "二"):
        assert (tmp_path / "一" / "run.lock").exists()


def test_a_home_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "set HANMILL_HOME" in refusal(tmp_path / "file" / "home")


def test_a_file_system_without_locks_is_a_wrong_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "cannot be locked (No locks available); set HANMILL_HOME" in refusal(tmp_path)
