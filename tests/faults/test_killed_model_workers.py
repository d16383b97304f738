"""A model worker, or its process, killed in the middle of a batch leaves every document exactly one result."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from storage import jobs, summaries
from storage.engine import reading
from tests.support.deployment import Deployment, assert_adds_up

pytestmark = pytest.mark.fault

Until = Callable[[Callable[[], bool], str], None]


@pytest.fixture
def many_texts(tmp_path: Path, sample_texts: list[str]) -> tuple[Path, int]:
    """Write texts, each another one, that take a model worker some seconds."""
    texts = [f"第{number}遍。{text}" for number in range(6) for text in sample_texts]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
    return path, len(texts)


def summaries_of(deployment: Deployment, job_id: int) -> list[dict[str, Any]]:
    with reading(deployment.parts.engine) as connection:
        row = jobs.get(connection, job_id)
        return list(summaries.export_rows(connection, row.corpus_id, row.fingerprint))


def submit(deployment: Deployment, path: Path) -> Any:
    options = {"backend": "textrank", "length": "short"}
    return deployment.submit([path], operations=["summarize"], options=options, shard_bytes=8_000)


def check(deployment: Deployment, view: dict[str, Any], documents: int) -> None:
    assert (view["state"], view["results"]) == ("DONE", documents)
    assert_adds_up(view)
    assert len(summaries_of(deployment, view["id"])) == documents


def test_a_killed_model_process_loses_nothing(
    deployment: Deployment, many_texts: tuple[Path, int], until: Until
) -> None:
    path, documents = many_texts
    with deployment.workers(kind="gpu") as worker:
        submitted = submit(deployment, path)
        job_id = submitted.jobs[0].id
        until(lambda: deployment.view(job_id)["shards_running"] >= 2, "a batch of several shards is under way")
        # Beside the pool's process there is one that tracks semaphores; without it the whole worker ends.
        (process,) = [one for one in psutil.Process(worker.pid).children() if "spawn_main" in " ".join(one.cmdline())]
        os.kill(process.pid, signal.SIGKILL)
        (view,) = deployment.wait(submitted)
    check(deployment, view, documents)


def test_a_killed_model_worker_loses_nothing(
    deployment: Deployment, many_texts: tuple[Path, int], until: Until
) -> None:
    path, documents = many_texts
    with deployment.workers(kind="gpu") as worker:
        submitted = submit(deployment, path)
        job_id = submitted.jobs[0].id
        until(lambda: deployment.view(job_id)["shards_running"] >= 2, "a batch of several shards is under way")
        family = [worker.pid, *(child.pid for child in psutil.Process(worker.pid).children(recursive=True))]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        with deployment.workers(name="second", kind="gpu"):
            (view,) = deployment.wait(submitted)
    check(deployment, view, documents)
