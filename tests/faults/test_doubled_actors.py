"""Producers that are killed or come twice, and two of everything that should be there once: the results are exact."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from storage import job_ledger, ledger
from storage.engine import reading
from storage.planning import plan_job
from storage.schema import attempts, shards
from storage.schema import jobs as job_table
from tests.support.availability import REPOSITORY
from tests.support.builders import call, change_job
from tests.support.deployment import ENDED, Deployment
from tests.support.forked import PATIENCE_S, killed_at, start
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import CORPUS, counts_of, open_mill, tokens_of, view_of, write_texts
from tests.support.reference import serial_counts, serial_tokens
from tests.support.serial_result import assert_equals_serial
from workers.producer import ingest

pytestmark = pytest.mark.fault

TEXTS = [f"{number} 北京的天气很好,我们去公园散步。" for number in range(40)]
SHARD_BYTES = 400


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url, shard_bytes=SHARD_BYTES, seal_after_s=0.01) as made:
        yield made


def job_ids_of(mill: InlineMill) -> list[int]:
    with reading(mill.parts.engine) as connection:
        return list(connection.scalars(select(job_table.c.id).order_by(job_table.c.id)))


def work_to_the_end(mill: InlineMill) -> None:
    """Do what the reconciler and a worker do, until every job has ended."""
    for _ in range(10):
        call(mill.parts.engine, ledger.unqueue_all)
        for job_id in call(mill.parts.engine, job_ledger.jobs_to_plan):
            plan_job(mill.parts.engine, job_id, mill.parts.settings.plan_sizes)
        mill.work(*job_ids_of(mill))
        if all(view_of(mill, job_id)["state"] in ENDED for job_id in job_ids_of(mill)):
            return
    pytest.fail(f"the jobs do not end: {[view_of(mill, job_id) for job_id in job_ids_of(mill)]}")


@pytest.mark.parametrize("point", ["submit.refreshed", "plan.started", "plan.added", "plan.sealing", "dispatch.queued"])
def test_a_submit_that_is_killed_is_finished_by_the_next(mill: InlineMill, tmp_path: Path, point: str) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    order = partial(mill.submit, [path], CORPUS, "count", "tokenize", shard_bytes=SHARD_BYTES)
    killed_at(point, mill.parts.engine, order, tmp_path)
    order()
    work_to_the_end(mill)
    counting, cutting = job_ids_of(mill)
    assert counts_of(mill) == serial_counts(TEXTS)
    assert sorted(tokens_of(mill, cutting)) == sorted(serial_tokens(TEXTS))
    assert view_of(mill, counting)["documents"] == len(TEXTS)


@pytest.mark.parametrize("point", ["submit.made", "plan.added"])
def test_a_submit_that_is_killed_is_finished_by_the_reconciler_when_its_planner_is_silent(
    mill: InlineMill, tmp_path: Path, point: str
) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    order = partial(mill.submit, [path], CORPUS, "count", shard_bytes=SHARD_BYTES)
    killed_at(point, mill.parts.engine, order, tmp_path)
    (job_id,) = job_ids_of(mill)
    assert call(mill.parts.engine, job_ledger.jobs_to_plan) == []
    silent_since = 2 * job_ledger.PLANNER_SILENCE_S
    with reading(mill.parts.engine) as connection:
        moment = job_ledger.moment(connection)
    change_job(mill.parts.engine, job_id, created_at=moment - silent_since)
    if point != "submit.made":
        change_job(mill.parts.engine, job_id, planner_until=moment - 1)
    work_to_the_end(mill)
    assert view_of(mill, job_id)["state"] == "DONE"
    assert counts_of(mill) == serial_counts(TEXTS)


@pytest.mark.parametrize("point", ["ingest.uncommitted", "ingest.committed"])
def test_documents_whose_producer_is_killed_are_there_once(mill: InlineMill, tmp_path: Path, point: str) -> None:
    given = [{"key": str(number), "text": text} for number, text in enumerate(TEXTS)]
    enqueue = partial(ingest, mill.parts, mill, CORPUS, given, ["count"], {})
    killed_at(point, mill.parts.engine, enqueue, tmp_path)
    # As whoever was not told that they are in does.
    enqueue()
    work_to_the_end(mill)
    assert counts_of(mill) == serial_counts(TEXTS)


@pytest.mark.postgres
def test_two_beats_two_reconcilers_and_two_producers_make_one_job_and_run_every_shard_once(
    home: Path, postgres_database: str, redis_url: str, tmp_path: Path
) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    deployment = Deployment(home, postgres_database, redis_url)
    engine = deployment.parts.engine

    def reconcile_often() -> None:
        for _ in range(10):
            deployment.reconcile()

    order = partial(deployment.submit, [path], operations=["count", "tokenize"], shard_bytes=SHARD_BYTES)
    with ExitStack() as stack:
        for name in ("beat-1", "beat-2"):
            environment = {**deployment.environment(), "HANMILL_HOME": str(home / name)}
            environment["HANMILL_DATABASE_URL"] = deployment.settings.sql_url
            beat = subprocess.Popen(
                [sys.executable, "-m", "workers.cli.main", "beat"],
                env=environment,
                cwd=REPOSITORY,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(beat.wait)
            stack.callback(beat.kill)
        stack.enter_context(deployment.workers(2))
        processes = [start(engine, work) for work in (order, order, reconcile_often, reconcile_often)]
        for process in processes:
            process.join(PATIENCE_S)
            assert process.exitcode == 0
        submitted = order()
        views = deployment.wait(submitted)
    assert_equals_serial(deployment, views, TEXTS)
    with reading(engine) as connection:
        assert len(set(connection.scalars(select(shards.c.job_id)))) == len(submitted.jobs)
        tried = list(connection.scalars(select(attempts.c.shard_id)))
        run = set(connection.scalars(select(shards.c.id).where(shards.c.attempts > 0)))
    engine.dispose()
    assert len(tried) == len(set(tried)) == len(run)
