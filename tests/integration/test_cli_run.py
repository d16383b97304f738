"""`hanmill run` as a user starts it: a process, its exit code, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from storage.engine import open_engine, reading
from storage.word_counts import by_count, current_generation
from tests.support.availability import REPOSITORY
from tests.support.processes import is_alive, wait_until
from tests.support.reference import serial_counts

CORPUS = REPOSITORY / "tests" / "samples" / "corpus"
HOSTILE = REPOSITORY / "tests" / "samples" / "hostile"
TEXT = "中文分词的结果必须与参考实现完全一致，无论中途发生什么。"
#: Enough text that a run of it can be stopped in the middle.
DOCUMENTS = 1500


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "workers.cli.main", *map(str, arguments)]


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command("run", *arguments), capture_output=True, text=True, check=False, timeout=240)


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Have a run go on inside `with`; whatever of it is left then is ended."""
    process = subprocess.Popen(
        command("run", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it starts in the background ignore Ctrl-C, and the tests may have been started so.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread is up yet
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def jobs_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert "Traceback" not in done.stderr
    printed = json.loads(done.stdout)
    assert list(printed) == ["jobs"]
    return list(printed["jobs"])


def counts_in(home: Path) -> dict[str, tuple[int, int]]:
    with reading(open_engine(f"sqlite:///{home / 'hanmill.db'}")) as connection:
        generation = current_generation(connection, 1)
        assert generation is not None
        return {word: (count, documents) for word, count, documents in by_count(connection, generation)}


def test_a_run_needs_nothing_and_a_second_one_computes_nothing(home: Path) -> None:
    first = run(CORPUS, "--corpus", "sample", "--do", "count,tokenize", "--workers", 2, "--format", "json")
    assert first.returncode == 0, first.stderr
    count, tokenize = jobs_of(first)
    assert set(count) == {"id", "operation", "state", "documents", "dead", "shards", "bytes", "tokens", "elapsed_s"}
    assert (count["operation"], count["state"], count["dead"]) == ("count", "DONE", 0)
    assert (tokenize["operation"], tokenize["state"]) == ("tokenize", "DONE")
    assert count["documents"] == tokenize["documents"] > 0
    assert not (home / "run.json").exists()

    second = run(CORPUS, "--corpus", "sample", "--workers", 2, "--format", "json")
    assert second.returncode == 0
    assert "nothing to compute" in second.stderr
    assert jobs_of(second)[0]["tokens"] == count["tokens"]


def test_bad_input_is_set_aside_and_the_exit_code_says_so_each_time() -> None:
    for _ in range(2):
        done = run(HOSTILE, "--corpus", "hostile", "--format", "json")
        assert done.returncode == 3, done.stderr
        (job,) = jobs_of(done)
        assert job["state"] == "DONE_WITH_DEAD"
        assert job["dead"] == 10


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [(["nowhere.txt"], "does not exist"), ([str(CORPUS), "--do", "juggle"], "there is no operation"), ([], "INPUT")],
)
def test_what_cannot_be_done_is_refused_before_anything_starts(arguments: list[str], fault: str, home: Path) -> None:
    done = run(*arguments, "--corpus", "x")
    assert done.returncode == 2
    assert fault in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not (home / "run.json").exists()


def many_texts(path: Path) -> Path:
    lines = (json.dumps({"text": f"{TEXT}{number}" * 20}, ensure_ascii=False) for number in range(DOCUMENTS))
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def children_in(home: Path) -> dict[str, int]:
    try:
        content = json.loads((home / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {child["name"].split(" ")[0]: child["pid"] for child in content["children"]}


def shards_done(home: Path) -> int:
    # Not by our engine: it would have a say in how the file is made.
    try:
        with closing(sqlite3.connect(f"file:{home / 'hanmill.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM shards WHERE state = 'DONE'").fetchone()[0])
    except sqlite3.OperationalError:
        # The file, or its tables, are not there yet.
        return 0


def processes_of(home: Path, process: subprocess.Popen[str]) -> list[int]:
    """Wait until a run is in the middle of its work, and return the processes that it has started."""
    wait_until(lambda: shards_done(home) > 2 or process.poll() is not None, "the first shards are done")
    assert process.poll() is None, "the run ended too early to be stopped"
    return [child.pid for child in psutil.Process(process.pid).children(recursive=True)]


@pytest.mark.fault
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_run_that_is_stopped_goes_on_where_it_was(how: signal.Signals, home: Path, tmp_path: Path) -> None:
    texts = many_texts(tmp_path / "texts.jsonl")
    arguments = (texts, "--corpus", "x", "--workers", 2, "--shard-bytes", "30KB")
    with started(*arguments) as process:
        family = processes_of(home, process)
        os.kill(process.pid, how)
        _, told = process.communicate(timeout=180)
    assert process.returncode == (-how if how is signal.SIGKILL else 130)
    if how is not signal.SIGKILL:
        assert "stopped; run the same command again to go on" in told
        assert "Traceback" not in told
    wait_until(lambda: not any(is_alive(pid) for pid in family), "nothing of the run is left")

    done = run(*arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert "goes on where it was stopped" in done.stderr
    (job,) = jobs_of(done)
    assert (job["id"], job["documents"]) == (1, DOCUMENTS)
    reference = serial_counts(json.loads(line)["text"] for line in texts.read_text(encoding="utf-8").splitlines())
    assert counts_in(home) == reference


@pytest.mark.fault
def test_a_run_brings_its_dead_worker_and_its_dead_redis_back(home: Path, tmp_path: Path) -> None:
    texts = many_texts(tmp_path / "texts.jsonl")
    with started(texts, "--corpus", "x", "--workers", 2, "--shard-bytes", "30KB", "--format", "json") as process:
        processes_of(home, process)
        for name in ("the", "Redis"):
            os.kill(children_in(home)[name], signal.SIGKILL)
        printed, told = process.communicate(timeout=240)
    assert process.returncode == 0, told
    assert "Redis died and was started again" in told
    assert json.loads(printed)["jobs"][0]["documents"] == DOCUMENTS
    words = counts_in(home)
    assert words["分词"] == (DOCUMENTS * 20, DOCUMENTS)


def test_a_second_run_in_the_same_home_is_refused_by_name(home: Path, tmp_path: Path) -> None:
    texts = many_texts(tmp_path / "texts.jsonl")
    with started(texts, "--corpus", "x", "--workers", 1) as process:
        wait_until(lambda: (home / "run.lock").exists() and (home / "run.lock").stat().st_size, "the home is locked")
        refused = run(CORPUS, "--corpus", "other")
        assert refused.returncode == 2
        assert f"pid {process.pid}" in refused.stderr
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=180)
