"""Documents that a client sent by name stand nowhere but in their message: a killed process must not lose them."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import pytest
import redis
from celery import Celery

from storage.broker_state import client_url
from storage.engine import count_rows
from storage.redis_keys import EPOCH, UNACKED
from storage.schema import documents
from tests.support.builders import call
from tests.support.deployment import Deployment

pytestmark = pytest.mark.fault


def has_open(process: psutil.Process, path: Path) -> bool:
    return any(Path(file.path) == path for file in process.open_files())


def test_documents_whose_ingest_is_killed_before_it_commits_are_ingested_by_another_process(
    home: Path, sqlite_url: str, redis_url: str, until: Callable[[Callable[[], bool], str], None]
) -> None:
    deployment = Deployment(home, sqlite_url, redis_url, reconcile_interval_s=3600.0)
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    message = {"corpus": "news", "documents": [{"key": "a", "text": "甲"}]}
    with (
        deployment.workers(1) as worker,
        closing(redis.Redis.from_url(client_url(redis_url))) as queue,
        closing(sqlite3.connect(database, isolation_level=None)) as lock,
        closing(Celery(broker=redis_url, set_as_current=False)) as client,
    ):
        until(lambda: bool(queue.exists(EPOCH)) and not queue.exists(UNACKED), "the worker has reconciled once")
        lock.execute("BEGIN IMMEDIATE")
        client.send_task("hanmill.ingest", kwargs=message, queue="hanmill.control", ignore_result=True)
        (process,) = psutil.Process(worker.pid).children()
        until(lambda: has_open(process, database), "the ingest waits for the database")
        os.kill(process.pid, signal.SIGKILL)
        until(lambda: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE, "the process is gone")
        lock.execute("ROLLBACK")
        until(lambda: call(deployment.parts.engine, count_rows, documents) == 1, "the document is in")
    deployment.parts.engine.dispose()
