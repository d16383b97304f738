"""A worker process killed and a queue flushed in the middle of a job leave exactly the counts of a serial loop."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import redis

from storage.broker_state import client_url
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import serial_counts

pytestmark = pytest.mark.fault


@pytest.fixture
def job_of_many_shards(deployment: Deployment, tmp_path: Path, sample_texts: list[str]) -> tuple[Path, list[str]]:
    """Write a corpus that takes two workers some seconds."""
    texts = sample_texts * 3
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
    return path, texts


def test_a_killed_pool_process_loses_nothing(
    deployment: Deployment,
    job_of_many_shards: tuple[Path, list[str]],
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    path, texts = job_of_many_shards
    with deployment.workers(2) as worker:
        submitted = deployment.submit([path], shard_bytes=4_000)
        job_id = submitted.jobs[0].id
        until(lambda: deployment.view(job_id)["shards_done"] >= 2, "the job is under way")
        for child in psutil.Process(worker.pid).children():
            os.kill(child.pid, signal.SIGKILL)
        (view,) = deployment.wait(submitted)
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(texts)


def test_a_killed_worker_loses_nothing(
    deployment: Deployment,
    job_of_many_shards: tuple[Path, list[str]],
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    path, texts = job_of_many_shards
    with deployment.workers(2) as worker:
        submitted = deployment.submit([path], shard_bytes=4_000)
        job_id = submitted.jobs[0].id
        until(lambda: deployment.view(job_id)["shards_done"] >= 2, "the job is under way")
        family = [worker.pid, *(child.pid for child in psutil.Process(worker.pid).children(recursive=True))]
        for pid in family:
            os.kill(pid, signal.SIGKILL)
        worker.wait()
        with deployment.workers(2, "second"):
            (view,) = deployment.wait(submitted)
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(texts)


def test_a_flushed_queue_loses_nothing(
    deployment: Deployment,
    redis_url: str,
    job_of_many_shards: tuple[Path, list[str]],
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    path, texts = job_of_many_shards
    with deployment.workers(2):
        submitted = deployment.submit([path], shard_bytes=4_000)
        job_id = submitted.jobs[0].id
        until(lambda: deployment.view(job_id)["shards_done"] >= 2, "the job is under way")
        client = redis.Redis.from_url(client_url(redis_url))
        client.flushall()
        client.close()
        (view,) = deployment.wait(submitted)
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == serial_counts(texts)
