"""One child process: its log, its ending, and the words with which its death is told."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from storage.errors import HanmillError, UsageError
from tests.support.processes import is_alive, wait_until
from workers.embedded import child as child_module
from workers.embedded.child import Child
from workers.embedded.run_file import RunFile


def shell(home: Path, script: str, **environment: str) -> Child:
    """Describe a shell that runs a script."""
    return Child(
        name="the worker",
        command=["sh", "-c", script],
        log_path=home / "logs" / "worker.log",
        run_file=RunFile(home),
        environment=environment,
    )


def started(child: Child) -> Child:
    """Start the child and return it."""
    child.start()
    return child


def ended(child: Child) -> Child:
    """Start the child and return it when it has ended by itself."""
    child.start()
    wait_until(lambda: not child.is_running(), "the child's end")
    return child


def test_both_outputs_and_the_environment_reach_the_child(tmp_path: Path) -> None:
    ended(shell(tmp_path, 'echo "$WORD"; echo loud >&2; cat', WORD="词"))
    assert (tmp_path / "logs" / "worker.log").read_text(encoding="utf-8") == "词\nloud\n"


def test_the_log_of_a_second_start_follows_that_of_the_first(tmp_path: Path) -> None:
    ended(shell(tmp_path, "echo one"))
    ended(shell(tmp_path, "echo two"))
    assert (tmp_path / "logs" / "worker.log").read_text(encoding="utf-8") == "one\ntwo\n"


def test_a_log_that_has_grown_too_long_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "MAX_LOG_BYTES", 3)
    ended(shell(tmp_path, "echo one"))
    ended(shell(tmp_path, "echo two"))
    assert (tmp_path / "logs" / "worker.log.1").read_text(encoding="utf-8") == "one\n"
    assert (tmp_path / "logs" / "worker.log").read_text(encoding="utf-8") == "two\n"


def test_a_log_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "logs").touch()
    with pytest.raises(UsageError, match="cannot be written"):
        shell(tmp_path, "true").start()


def test_a_failure_quotes_the_last_lines_of_this_start_only(tmp_path: Path) -> None:
    ended(shell(tmp_path, "echo of yesterday"))
    child = ended(shell(tmp_path, "seq 1 40; exit 7"))
    with pytest.raises(HanmillError) as caught:
        child.fail("died")
    first, *lines = str(caught.value).splitlines()
    assert first == f"the worker died (exit status 7); its log {tmp_path}/logs/worker.log ends with:"
    assert lines == [f"  {number}" for number in range(29, 41)]


def test_a_failure_names_the_signal_and_a_silent_log(tmp_path: Path) -> None:
    child = ended(shell(tmp_path, "kill -KILL $$"))
    with pytest.raises(HanmillError, match=r"(?s)the worker died \(Killed\).*\(nothing\)"):
        child.fail("died")


def test_the_sixth_death_in_a_minute_is_an_error(tmp_path: Path) -> None:
    child = ended(shell(tmp_path, "echo out of luck; exit 1"))
    for _ in range(child_module.MAX_DEATHS):
        child.start_again()
        wait_until(lambda: not child.is_running(), "the child's end")
    with pytest.raises(HanmillError, match=r"(?s)the worker died 6 times within 60 s \(exit status 1\).*out of luck"):
        child.start_again()


def test_deaths_of_long_ago_are_forgiven(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "DEATHS_WINDOW_S", 0.0)
    child = ended(shell(tmp_path, "exit 1"))
    for _ in range(child_module.MAX_DEATHS + 2):
        child.start_again()
        wait_until(lambda: not child.is_running(), "the child's end")


def test_a_child_may_finish_within_the_grace(tmp_path: Path) -> None:
    child = started(shell(tmp_path, "trap 'echo finished; exit' TERM; echo ready; while :; do sleep 0.01; done"))
    log = tmp_path / "logs" / "worker.log"
    wait_until(lambda: "ready" in log.read_text(encoding="utf-8"), "the trap")
    child.stop(30)
    assert log.read_text(encoding="utf-8") == "ready\nfinished\n"
    assert not child.is_running()


def test_a_deaf_child_is_killed_with_its_descendants(tmp_path: Path) -> None:
    child = started(shell(tmp_path, "trap '' TERM; sleep 600 & echo $!; wait"))
    log = tmp_path / "logs" / "worker.log"
    wait_until(lambda: log.read_text(encoding="utf-8").endswith("\n"), "the descendant")
    child.stop(0)
    descendant = int(log.read_text(encoding="utf-8"))
    wait_until(lambda: not is_alive(descendant), "the descendant's end")
    assert not is_alive(child.pid)


def test_descendants_of_a_child_that_died_are_ended_before_the_next_start(tmp_path: Path) -> None:
    child = ended(shell(tmp_path, "sleep 600 & echo $!"))
    orphan = int((tmp_path / "logs" / "worker.log").read_text(encoding="utf-8"))
    assert is_alive(orphan)
    child.start_again()
    wait_until(lambda: not is_alive(orphan), "the orphan's end")
    child.stop(0)


def test_stopping_twice_or_before_the_start_does_no_harm(tmp_path: Path) -> None:
    child = shell(tmp_path, "sleep 600")
    child.stop(0)
    child.start()
    child.stop(0)
    child.stop(0)
    assert not child.is_running()


def test_a_child_that_was_never_started_has_no_pid(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="never started"):
        _ = shell(tmp_path, "true").pid


def test_a_start_from_another_thread_is_refused_because_the_death_signal_would_come_with_the_threads_end(
    tmp_path: Path,
) -> None:
    errors: list[RuntimeError] = []

    def start() -> None:
        try:
            shell(tmp_path, "true").start()
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert "from the main thread" in str(errors[0])


def test_a_child_that_cannot_be_recorded_is_not_left_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        message = "disk full"
        raise OSError(message)

    monkeypatch.setattr(RunFile, "record", refuse)
    child = shell(tmp_path, "sleep 600")
    with pytest.raises(OSError, match="disk full"):
        child.start()
    assert not child.is_running()
