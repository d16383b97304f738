"""The command line against a running deployment: submit, worker, control, doctor."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from typer.testing import CliRunner, Result

from storage.broker_state import client_url
from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment, stop
from workers.cli.main import app

CORPUS = REPOSITORY / "tests" / "samples" / "corpus"
HOSTILE = REPOSITORY / "tests" / "samples" / "hostile"

Until = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def invoke(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs a command line in the environment of the deployment."""
    for name, value in deployment.environment().items():
        if name.startswith("HANMILL_"):
            monkeypatch.setenv(name, value)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@contextmanager
def worker(deployment: Deployment, elsewhere: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Have `hanmill worker cpu` run, started from a directory whose `workers` is not ours."""
    (elsewhere / "workers").mkdir()
    (elsewhere / "workers" / "__init__.py").write_text("raise SystemExit('the wrong workers')\n", encoding="utf-8")
    program = "from workers.cli.main import main; main()"
    command = [sys.executable, "-P", "-c", program, "worker", "cpu", "-c", "1", "--name", "cli"]
    environment = {**deployment.environment(), "PYTHONPATH": str(REPOSITORY)}
    with (elsewhere / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=elsewhere)
    try:
        yield process
    finally:
        stop(process)


def findings(shown: Result) -> dict[str, str]:
    return {row["name"]: row["state"] for row in json.loads(shown.stdout)}


def test_what_is_submitted_is_done_by_a_worker_of_the_command_line(
    deployment: Deployment, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    before = invoke("submit", CORPUS, "--corpus", "sample", "--format", "json")
    assert before.exit_code == 0
    assert [job["id"] for job in json.loads(before.stdout)["jobs"]] == [1]
    lonely = findings(invoke("doctor", "--format", "json"))
    assert lonely["workers"] == "fail"
    with worker(deployment, tmp_path):
        watched = invoke("status", 1, "--watch", "--format", "json")
        assert watched.exit_code == 0
        assert json.loads(watched.stdout)["state"] == "DONE"
        hostile = invoke("submit", HOSTILE, "--corpus", "hostile", "--wait", "--format", "json")
        assert hostile.exit_code == 3
        assert json.loads(hostile.stdout)["jobs"][0]["dead"] == 10
        healthy = findings(invoke("doctor", "--format", "json"))
        assert healthy["workers"] == "ok"
        assert invoke("dead", "replay", 2).exit_code == 0
        assert invoke("status", 2, "--watch").exit_code == 3
        assert invoke("dead", "discard", 2).exit_code == 0
        assert invoke("status", 2, "--watch").exit_code == 0


def test_a_paused_job_rests_until_it_is_resumed(
    deployment: Deployment, invoke: Callable[..., Result], tmp_path: Path, until: Until
) -> None:
    assert invoke("submit", CORPUS, "--corpus", "sample", "--shard-bytes", "20KB").exit_code == 0
    assert invoke("pause", 1).exit_code == 0
    with worker(deployment, tmp_path):
        assert invoke("submit", HOSTILE, "--corpus", "other", "--wait").exit_code == 3
        report = json.loads(invoke("status", 1, "--format", "json").stdout)
        assert (report["state"], report["shards_done"]) == ("PAUSED", 0)
        assert invoke("resume", 1).exit_code == 0
        assert invoke("status", 1, "--watch").exit_code == 0


def test_the_doctor_names_a_wrong_redis_and_its_remedy(
    deployment: Deployment, invoke: Callable[..., Result], redis_url: str
) -> None:
    client = redis.Redis.from_url(client_url(redis_url))
    client.config_set("maxmemory-policy", "allkeys-lru")
    client.close()
    shown = invoke("doctor", "--format", "json")
    assert shown.exit_code == 1
    found = {row["name"]: row for row in json.loads(shown.stdout)}
    assert found["redis eviction"]["state"] == "fail"
    assert found["redis eviction"]["remedy"] == "set maxmemory-policy noeviction"
    assert found["redis persistence"]["state"] == "warn"
    assert found["schema"]["state"] == "ok"


def test_the_doctor_finds_no_broker_and_wrong_limits(
    deployment: Deployment, invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HANMILL_BROKER_URL", f"redis+socket://{tmp_path}/none.sock")
    monkeypatch.setenv("HANMILL_HARD_TIME_LIMIT_S", "60")
    shown = invoke("doctor", "--format", "json")
    assert shown.exit_code == 1
    found = findings(shown)
    assert (found["broker"], found["time limits"]) == ("fail", "fail")


def test_the_doctor_finds_a_home_that_cannot_be_written(
    invoke: Callable[..., Result], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Below a file nobody makes a directory, root neither.
    (tmp_path / "file").touch()
    monkeypatch.setenv("HANMILL_HOME", str(tmp_path / "file" / "home"))
    assert findings(invoke("doctor", "--format", "json"))["home"] == "fail"
