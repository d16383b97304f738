"""What a real worker logs: JSON on every line, the worker's name, what ran, and no password."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.deployment import REPOSITORY, Deployment, stop

PASSWORD = "ein-langes-geheimnis"


@pytest.fixture
def json_deployment(home: Path, sqlite_url: str, redis_url: str) -> Deployment:
    """Return a deployment whose workers write JSON."""
    return Deployment(home, sqlite_url, redis_url, log_format="json", log_level="DEBUG")


#: What Celery writes from its signal handler, where nothing can be logged.
SIGNALLED = "worker: Warm shutdown (MainProcess)"


def log_of(home: Path, name: str = "test") -> list[dict[str, Any]]:
    lines = (home / f"worker-{name}.log").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines if line not in {"", SIGNALLED}]


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_every_line_is_json_and_names_worker_and_what_runs(
    json_deployment: Deployment, home: Path, tmp_path: Path, kind: str
) -> None:
    path = tmp_path / "news.jsonl"
    path.write_text('{"text": "今天天气很好。"}\n', encoding="utf-8")
    operation, options = ("summarize", {"backend": "lead"}) if kind == "gpu" else ("count", {})
    with json_deployment.workers(kind=kind):
        submitted = json_deployment.submit([path], operations=[operation], options=options)
        (view,) = json_deployment.wait(submitted)
    assert view["state"] == "DONE"
    lines = log_of(home)
    assert {str(line.get("worker", line)).partition("@")[0] for line in lines} == {"test"}
    ended = next(line for line in lines if line["event"] == "shard.ended")
    assert (ended["job"], ended["attempt"], ended["task"]) == (submitted.jobs[0].id, 1, "hanmill.run_shard")
    # The library's word on the same message, written by the same process after the shard has ended.
    assert any(
        line["event"] == "celery.app.trace" and line.get("shard") == ended["shard"] and "succeeded" in line["message"]
        for line in lines
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_broker_that_does_not_answer_is_named_without_its_password(
    home: Path, until: Callable[[Callable[[], bool], str], None], log_format: str
) -> None:
    log = home / "worker.log"
    environment = {
        **os.environ,
        "HANMILL_HOME": str(home),
        # The port of discarded packets, where nobody listens.
        "HANMILL_BROKER_URL": f"redis://:{PASSWORD}@127.0.0.1:9/0",
        "HANMILL_LOG_FORMAT": log_format,
    }
    command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "-c", "1", "--loglevel", "DEBUG"]
    with log.open("wb") as stream:
        worker = subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, cwd=REPOSITORY)
    try:
        until(lambda: "Cannot connect to redis://" in log.read_text(encoding="utf-8"), "the worker says what it lacks")
    finally:
        stop(worker)
    assert PASSWORD not in log.read_text(encoding="utf-8")
