"""`hanmill schedule` as it is typed: what is added is listed, run, paused and removed; what is wrong is refused."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.unit.workers.cli.conftest import Invoke

ADD = ("schedule", "add", "nightly", "--corpus", "poems", "--cron", "30 1 * * *", "--tz", "Asia/Shanghai")


def listed(invoke: Invoke) -> list[dict[str, Any]]:
    shown = invoke("schedule", "list", "--format", "json")
    assert shown.exit_code == 0
    return list(json.loads(shown.stdout))


def test_a_schedule_is_listed_with_its_next_run_in_its_zone(poems: Path, invoke: Invoke) -> None:
    assert invoke(*ADD, "--do", "count", "--finish-by", "06:00").exit_code == 0
    (row,) = listed(invoke)
    assert {name: row[name] for name in ("name", "corpus", "operation", "cron", "tz", "last_run", "outcome")} == {
        "name": "nightly",
        "corpus": "poems",
        "operation": "count",
        "cron": "30 1 * * *",
        "tz": "Asia/Shanghai",
        "last_run": None,
        "outcome": None,
    }
    next_run = datetime.fromisoformat(row["next_run"])
    assert (next_run.hour, next_run.minute, str(next_run.utcoffset())) == (1, 30, "8:00:00")
    shown = invoke("schedule", "show", "nightly")
    assert "06:00" in shown.stdout


def test_a_run_at_once_makes_jobs_and_stands_in_the_history(poems: Path, invoke: Invoke, home: Path) -> None:
    invoke(*ADD, "--do", "count,tokenize")
    shown = invoke("schedule", "run", "nightly", "--format", "json")
    assert shown.exit_code == 0
    assert len(json.loads(shown.stdout)["jobs"]) == 2
    (run,) = json.loads(invoke("schedule", "history", "nightly", "--format", "json").stdout)
    assert (run["trigger"], run["state"], run["jobs"]) == ("manual", "RUNNING", json.loads(shown.stdout)["jobs"])
    again = invoke("schedule", "run", "nightly")
    assert (again.exit_code, "goes on" in again.stderr) == (2, True)


def test_a_paused_schedule_has_no_next_run_until_it_is_resumed(poems: Path, invoke: Invoke) -> None:
    invoke(*ADD)
    assert invoke("schedule", "pause", "nightly").exit_code == 0
    assert (listed(invoke)[0]["paused"], listed(invoke)[0]["next_run"]) == (True, None)
    assert invoke("schedule", "resume", "nightly").exit_code == 0
    assert listed(invoke)[0]["next_run"] is not None


def test_the_history_of_a_removed_schedule_can_be_read(poems: Path, invoke: Invoke) -> None:
    invoke(*ADD, "--do", "count")
    invoke("schedule", "run", "nightly")
    assert invoke("schedule", "remove", "nightly").exit_code == 0
    assert listed(invoke) == []
    assert "RUNNING" in invoke("schedule", "history", "nightly").stdout
    unknown = invoke("schedule", "show", "nightly")
    assert (unknown.exit_code, "nightly" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--cron", "61 1 * * *"),
        ("--tz", "Asia/Atlantis"),
        ("--do", "dance"),
        ("--corpus", "prose"),
        ("--finish-by", "25:00"),
        ("--grace", "soon"),
        ("--ingest", "/no/such/place"),
    ],
)
def test_what_is_wrong_is_refused_when_it_is_added(option: str, value: str, poems: Path, invoke: Invoke) -> None:
    given = {**dict(zip(ADD[3::2], ADD[4::2], strict=True)), "--do": "count", option: value}
    shown = invoke("schedule", "add", "nightly", *(part for pair in given.items() for part in pair))
    assert shown.exit_code == 2
    assert value.split(maxsplit=1)[0] in shown.stderr
    assert listed(invoke) == []


def test_a_name_is_given_once(poems: Path, invoke: Invoke) -> None:
    invoke(*ADD)
    again = invoke(*ADD)
    assert (again.exit_code, "nightly" in again.stderr) == (2, True)


def test_what_is_to_be_listed_first_may_make_the_corpus(poems: Path, invoke: Invoke, tmp_path: Path) -> None:
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    shutil.copy(poems, inputs / "a.jsonl")
    assert invoke(*ADD[:4], "fresh", *ADD[5:], "--do", "count", "--ingest", inputs).exit_code == 0
    shown = invoke("schedule", "run", "nightly", "--format", "json")
    assert shown.exit_code == 0, shown.stderr
    assert "fresh" in invoke("corpora").stdout
