from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from storage import job_ledger
from storage.engine import transact
from storage.states import JobState
from tests.support.builders import job, make_job
from tests.support.inline_mill import InlineMill
from tests.unit.workers.cli.conftest import POEMS, Invoke


@pytest.fixture
def mill(home: Path) -> InlineMill:
    return InlineMill(home)


def test_a_job_is_paused_resumed_cancelled_and_tried_again(mill: InlineMill, invoke: Invoke) -> None:
    job_id = make_job(mill.parts.engine, 2)
    for command, state in [("pause", "PAUSED"), ("resume", "RUNNING"), ("cancel", "CANCELLED"), ("retry", "RUNNING")]:
        shown = invoke(command, job_id)
        assert (shown.exit_code, shown.stdout) == (0, "")
        assert f"job {job_id} " in shown.stderr
        assert job(mill.parts.engine, job_id).state == state


def test_a_home_without_a_broker_says_who_takes_the_job_up(mill: InlineMill, invoke: Invoke) -> None:
    job_id = make_job(mill.parts.engine, 1)
    invoke("pause", job_id)
    assert "start `hanmill run` again" in invoke("resume", job_id).stderr


def test_a_broker_that_is_away_is_told_and_loses_nothing(
    mill: InlineMill, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANMILL_BROKER_URL", f"redis+socket://{tmp_path}/none.sock")
    job_id = make_job(mill.parts.engine, 1)
    invoke("pause", job_id)
    shown = invoke("resume", job_id)
    assert shown.exit_code == 0
    assert "does not answer" in shown.stderr
    assert "when the broker is back" in shown.stderr
    assert job(mill.parts.engine, job_id).state == JobState.RUNNING


@pytest.mark.parametrize(
    ("command", "rule"),
    [
        ("pause", "only a job that runs can be paused"),
        ("resume", "only a paused job can be resumed"),
        ("cancel", "only a job that has not ended can be cancelled"),
        ("retry", "only a job that was cancelled, was stopped or has failed can be tried again"),
    ],
)
def test_what_the_state_does_not_allow_is_wrong_usage(command: str, rule: str, poems: Path, invoke: Invoke) -> None:
    shown = invoke(command, 1)
    assert shown.exit_code == 2
    assert shown.stderr == f"hanmill: job 1 is DONE_WITH_DEAD: {rule}\n"


def test_a_replayed_letter_that_is_still_bad_is_dead_again(poems: Path, home: Path, invoke: Invoke) -> None:
    shown = invoke("dead", "replay", 1)
    assert shown.exit_code == 0
    assert "1 dead letters run again" in shown.stderr
    mill = InlineMill(home)
    assert job(mill.parts.engine, 1).state == JobState.RUNNING
    mill.work(1)
    report = json.loads(invoke("status", 1, "--format", "json").stdout)
    assert (report["state"], report["documents"], report["dead"]) == ("DONE_WITH_DEAD", 4, 1)
    assert [letter["line"] for letter in json.loads(invoke("dead", 1, "--format", "json").stdout)] == [4]


def test_a_replay_of_a_changed_source_is_refused_with_advice(poems: Path, invoke: Invoke) -> None:
    times = poems.stat()
    os.utime(poems, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    try:
        shown = invoke("dead", "replay", 1)
    finally:
        os.utime(poems, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shown.exit_code == 1
    assert "1 were refused" in shown.stderr
    assert "Run the same `hanmill run`" in shown.stderr
    assert json.loads(invoke("status", 1, "--format", "json").stdout)["state"] == "DONE_WITH_DEAD"


def test_only_a_finished_job_can_replay(mill: InlineMill, invoke: Invoke) -> None:
    job_id = make_job(mill.parts.engine, 1)
    shown = invoke("dead", "replay", job_id)
    assert shown.exit_code == 2
    assert f"job {job_id} is RUNNING" in shown.stderr


def test_submit_prints_the_jobs_and_keeps_them_while_the_broker_is_away(
    mill: InlineMill, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANMILL_BROKER_URL", f"redis+socket://{tmp_path}/none.sock")
    source = tmp_path / "poems.jsonl"
    source.write_text(json.dumps(POEMS[0], ensure_ascii=False) + "\n", encoding="utf-8")
    shown = invoke("submit", source, "--corpus", "poems", "--do", "count,tokenize", "--format", "json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout) == {
        "jobs": [
            {"id": 1, "operation": "count", "state": "RUNNING", "shards": 1, "reused": 0, "resumed": False},
            {"id": 2, "operation": "tokenize", "state": "RUNNING", "shards": 1, "reused": 0, "resumed": False},
        ]
    }
    assert "the work stands in the database" in shown.stderr
    mill.work(1, 2)
    again = invoke("submit", source, "--corpus", "poems", "--wait", "--format", "json")
    assert again.exit_code == 0
    (done,) = json.loads(again.stdout)["jobs"]
    assert done["state"] == "DONE"
    assert list(done) == ["id", "operation", "state", "documents", "dead", "shards", "bytes", "tokens", "elapsed_s"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("missing.jsonl",), "missing.jsonl does not exist"),
        (("poems.jsonl", "--do", "juggle"), "there is no operation 'juggle'"),
        (("poems.jsonl", "--pattern", "("), "--min-length or --pattern"),
        (("poems.jsonl", "--shard-bytes", "lots"), "'lots' is no size"),
        (("poems.jsonl", "--mode", "fast"), "fast"),
    ],
)
@pytest.mark.parametrize("command", ["run", "submit"])
def test_a_wrong_order_is_refused_before_anything_starts(
    command: str,
    arguments: tuple[str, ...],
    fault: str,
    mill: InlineMill,
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HANMILL_BROKER_URL", f"redis+socket://{tmp_path}/none.sock")
    (tmp_path / "poems.jsonl").write_text(json.dumps(POEMS[0], ensure_ascii=False) + "\n", encoding="utf-8")
    shown = invoke(command, *arguments, "--corpus", "poems")
    assert shown.exit_code == 2
    assert fault in shown.stderr
    assert "Traceback" not in shown.stderr
    with mill.parts.engine.connect() as connection:
        assert job_ledger.active_jobs(connection) == []


def test_run_computes_nothing_that_is_known(poems: Path, invoke: Invoke) -> None:
    shown = invoke("run", poems, "--corpus", "poems", "--key-field", "id", "--format", "json")
    assert shown.exit_code == 3
    assert "nothing to compute: 1 shards known" in shown.stderr
    (done,) = json.loads(shown.stdout)["jobs"]
    assert (done["id"], done["state"], done["documents"], done["dead"]) == (3, "DONE_WITH_DEAD", 4, 1)


def test_run_ends_with_tables_for_people(poems: Path, invoke: Invoke) -> None:
    shown = invoke("run", poems, "--corpus", "poems", "--key-field", "id")
    assert "the 10 most frequent words of poems" in shown.stdout
    assert "missing_field" in shown.stdout
    assert "hanmill dead 3" in shown.stdout


def test_run_ends_with_1_when_its_job_was_cancelled(
    mill: InlineMill, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "poems.jsonl"
    source.write_text(json.dumps(POEMS[0], ensure_ascii=False) + "\n", encoding="utf-8")
    submitted = mill.submit([source], "poems", "count")
    transact(mill.parts.engine, lambda connection: job_ledger.cancel(connection, submitted.jobs[0].id))
    shown = invoke("status", submitted.jobs[0].id, "--watch")
    assert shown.exit_code == 1
    assert "is CANCELLED; `hanmill retry 1` opens it again" in shown.stderr
