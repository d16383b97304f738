"""Nights of a schedule from its row to the summaries: what is new, what was left, who died on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from storage import schedule_runs, schedules
from storage.engine import AnyRow, now, reading, transact
from storage.errors import UsageError
from storage.schema import attempts, job_limits, jobs, shards, summaries
from storage.schema import schedule_runs as run_table
from storage.schema import schedules as schedule_table
from storage.sources import ListingOptions
from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment, wait_for
from tests.support.inline_mill import InlineMill
from tests.support.reference import serial_counts
from workers.schedule_fire import tend_schedules
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import start_run
from workers.submit import Order

LEAD = {"backend": "lead"}
#: Starts a run and is killed on the way: before its job is there (`row`), with it (`job`), or before its `seal`.
KILLED = """
import os, signal, sys
from workers import schedule_start
from workers.bootstrap import build_parts
from workers.settings import load_settings
from storage.planning import job_ledger

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

run_id, place = int(sys.argv[1]), sys.argv[2]
if place == "row":
    schedule_start.check_operations = die
elif place == "job":
    schedule_start.plan_job = die
else:
    job_ledger.seal = die
schedule_start.start_run(build_parts(load_settings()), object(), run_id)
"""


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    """Return a mill on each kind of database in turn."""
    made = InlineMill(home, database_url)
    yield made
    made.parts.engine.dispose()


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    """Return a directory into which documents come."""
    path = tmp_path / "收件"
    path.mkdir()
    return path


def put(inbox: Path, *numbers: int) -> None:
    for number in numbers:
        (inbox / f"{number:03}.txt").write_text(f"第{number}篇的第一句话。它的第二句话。", encoding="utf-8")


def add(mill: InlineMill, inbox: Path, options: dict[str, Any] | None = None, **timing: Any) -> AnyRow:
    order = Order("news", [str(inbox)], ["summarize"], options or LEAD, ListingOptions(), shard_bytes=20)
    given = {"cron": "30 1 * * *", "timezone": "Asia/Shanghai", **timing}
    add_schedule(mill.parts, order, Timing(name="nightly", **given))
    with reading(mill.parts.engine) as connection:
        return schedules.get(connection, "nightly")


def night(mill: InlineMill, schedule: AnyRow) -> list[int]:
    """Have one night pass; return the jobs of its run."""
    run_id = transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
    job_ids = start_run(mill.parts, mill, run_id)
    mill.work(*job_ids)
    tend_schedules(mill.parts.engine, mill)
    return job_ids


def last_run(mill: InlineMill) -> AnyRow:
    with reading(mill.parts.engine) as connection:
        return schedule_runs.history(connection, "nightly", 1)[0]


def number_of(mill: InlineMill, table: Any, *conditions: Any) -> int:
    with reading(mill.parts.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def test_the_second_night_computes_what_is_new_and_changed_alone(mill: InlineMill, inbox: Path) -> None:
    put(inbox, 1, 2, 3)
    schedule = add(mill, inbox)
    (first,) = night(mill, schedule)
    assert last_run(mill).state == "DONE"
    computed = number_of(mill, attempts)
    assert number_of(mill, summaries) == 3
    put(inbox, 4)
    (second,) = night(mill, schedule)
    assert second != first
    assert number_of(mill, attempts) == computed + 1
    assert number_of(mill, summaries) == 4
    (third,) = night(mill, schedule)
    assert number_of(mill, attempts) == computed + 1
    assert number_of(mill, shards, shards.c.job_id == third, shards.c.origin_id.is_(None)) == 0


def test_what_a_schedule_says_is_looked_up_anew_each_night(mill: InlineMill, inbox: Path, tmp_path: Path) -> None:
    put(inbox, 1)
    words = tmp_path / "停用词.txt"
    words.write_text("的\n", encoding="utf-8")
    order = Order("news", [str(inbox)], ["tokenize"], {"stopwords": str(words)}, ListingOptions())
    add_schedule(mill.parts, order, Timing("nightly", "30 1 * * *", "Asia/Shanghai"))
    with reading(mill.parts.engine) as connection:
        schedule = schedules.get(connection, "nightly")
    night(mill, schedule)
    computed = number_of(mill, attempts)
    night(mill, schedule)
    assert number_of(mill, attempts) == computed
    words.write_text("第\n", encoding="utf-8")
    night(mill, schedule)
    assert number_of(mill, attempts) == computed + 1


def test_a_limited_night_leaves_the_rest_to_the_next(mill: InlineMill, inbox: Path) -> None:
    put(inbox, *range(10))
    schedule = add(mill, inbox, document_limit=4)
    found = []
    for _ in range(3):
        night(mill, schedule)
        found.append((last_run(mill).state, number_of(mill, summaries)))
    assert found == [("STOPPED", 4), ("STOPPED", 8), ("DONE", 10)]
    assert number_of(mill, attempts) == 10


def test_who_submits_the_same_meanwhile_gets_all_of_it(mill: InlineMill, inbox: Path) -> None:
    put(inbox, *range(6))
    schedule = add(mill, inbox, document_limit=2)
    run_id = transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
    (job_id,) = start_run(mill.parts, mill, run_id)
    submitted = mill.submit([inbox], "news", "summarize", options=LEAD)
    assert [(one.id, one.resumed) for one in submitted.jobs] == [(job_id, True)]
    mill.work(job_id)
    assert number_of(mill, summaries) == 6


def test_a_night_joins_what_is_under_way_and_does_not_limit_it(mill: InlineMill, inbox: Path) -> None:
    put(inbox, *range(6))
    (submitted,) = mill.submit([inbox], "news", "summarize", options=LEAD).jobs
    schedule = add(mill, inbox, document_limit=2)
    assert night(mill, schedule) == [submitted.id]
    assert number_of(mill, summaries) == 6
    assert last_run(mill).state == "DONE"


@pytest.mark.parametrize("place", ["row", "job", "seal"])
def test_a_starter_that_is_killed_is_followed_and_the_run_happens_once(
    mill: InlineMill, inbox: Path, place: str
) -> None:
    put(inbox, 1, 2)
    schedule = add(mill, inbox)
    engine = mill.parts.engine
    run_id = transact(engine, partial(schedule_runs.fire_now, schedule=schedule))
    settings = mill.parts.settings
    environment = {**os.environ, "HANMILL_HOME": str(settings.home), "HANMILL_DATABASE_URL": settings.sql_url}
    command = [sys.executable, "-c", KILLED, str(run_id), place]
    killed = subprocess.run(command, env=environment, cwd=REPOSITORY, check=False, timeout=180)
    assert killed.returncode == -signal.SIGKILL
    assert start_run(mill.parts, mill, run_id) == [], "it may be alive"
    transact(engine, lambda connection: connection.execute(update(run_table).values(starter_until=0.0)))
    job_ids = start_run(mill.parts, mill, run_id)
    assert len(job_ids) == 1
    mill.work(*job_ids)
    tend_schedules(engine, mill)
    assert (last_run(mill).state, last_run(mill).starts) == ("DONE", 2)
    assert (number_of(mill, jobs), number_of(mill, summaries)) == (1, 2)


def test_what_is_not_there_any_more_fails_the_run_with_the_reason(mill: InlineMill, inbox: Path) -> None:
    put(inbox, 1)
    schedule = add(mill, inbox)
    (inbox / "001.txt").unlink()
    inbox.rmdir()
    assert night(mill, schedule) == []
    assert last_run(mill).state == "FAILED"
    assert "does not exist" in last_run(mill).detail


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"corpus": "没有", "inputs": []}, "needs --ingest"),
        ({"inputs": ["-"]}, "standard input"),
        ({"inputs": ["/no/such/place"]}, "does not exist"),
        ({"operations": ["mill"]}, "there is no operation"),
        ({"operations": ["summarize"], "options": {"models": ["无"]}}, "--model 无"),
        ({"options": {"user_dict": "/no/such/file"}}, "/no/such/file"),
    ],
)
def test_everything_that_can_be_wrong_is_said_when_it_is_added(
    mill: InlineMill, inbox: Path, change: dict[str, Any], fault: str
) -> None:
    put(inbox, 1)
    values: dict[str, Any] = {"inputs": [str(inbox)], "operations": ["tokenize"], "options": {}, "corpus": "news"}
    order = Order(**{**values, **change}, listing=ListingOptions())
    with pytest.raises(UsageError, match=fault):
        add_schedule(mill.parts, order, Timing("nightly", "30 1 * * *", "UTC"))
    with reading(mill.parts.engine) as connection:
        assert schedules.list_all(connection) == []


@pytest.mark.timeout(600)
def test_workers_pass_a_night_by_themselves(
    deployment: Deployment, inbox: Path, until: Callable[[Callable[[], bool], str], None]
) -> None:
    put(inbox, *range(5))
    order = Order("news", [str(inbox)], ["count", "tokenize"], {}, ListingOptions())
    evening = datetime.fromtimestamp(time.time() - 60.0, UTC)
    cron = f"{evening.minute} {evening.hour} * * *"
    add_schedule(deployment.parts, order, Timing("nightly", cron, "UTC"))
    engine = deployment.parts.engine

    def states() -> list[str]:
        with reading(engine) as connection:
            return [run.state for run in schedule_runs.history(connection, "nightly", 9)]

    # The night comes: the worker alone is there, and no beat.
    due = update(schedule_table).values(next_at=schedule_table.c.next_at - 86400.0)
    with deployment.workers():
        transact(engine, lambda connection: connection.execute(due))
        until(lambda: states() == ["DONE"], "the night's run is done")
    assert len(deployment.counts()) > 5
    with reading(engine) as connection:
        (run,) = schedule_runs.history(connection, "nightly", 9)
        made = schedule_runs.jobs_of(connection, run.id)
    assert [one.operation for one in made] == ["count", "tokenize"]
    assert run.finished_at >= run.started_at
    assert json.loads(run.detail or "null") is None


@pytest.mark.slow
@pytest.mark.parametrize("database", [pytest.param("postgresql", marks=pytest.mark.postgres), "sqlite"])
def test_a_night_that_runs_out_of_time_is_stopped_and_the_next_brings_it_to_its_end(
    database: str, request: pytest.FixtureRequest, home: Path, redis_url: str, tmp_path: Path
) -> None:
    url = str(request.getfixturevalue("sqlite_url" if database == "sqlite" else "postgres_database"))
    deployment = Deployment(home, url, redis_url)
    parts = deployment.parts
    texts = [f"第{number}篇：中国的春天来了，花落知多少。" * 400 for number in range(600)]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8"
    )
    order = Order("news", [str(corpus)], ["count"], {}, ListingOptions(), shard_bytes=30_000)
    add_schedule(parts, order, Timing("nightly", "30 1 * * *", "Asia/Shanghai", finish_by="06:00"))
    with reading(parts.engine) as connection:
        schedule = schedules.get(connection, "nightly")

    def states() -> list[str]:
        with reading(parts.engine) as connection:
            return [run.state for run in schedule_runs.history(connection, "nightly", 10)]

    def begin() -> int:
        run_id = transact(parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
        (job_id,) = start_run(parts, deployment.publisher, run_id)
        return job_id

    with deployment.workers():
        first = begin()
        wait_for(lambda: deployment.view(first)["shards_done"] > 3, 180.0, lambda: "the first shards are done")
        # The hour comes sooner than six in the morning.
        soon = update(job_limits).where(job_limits.c.job_id == first).values(stop_at=now() + 1.0)
        transact(parts.engine, lambda connection: connection.execute(soon))
        wait_for(lambda: states() == ["STOPPED"], 180.0, lambda: f"the run is stopped: {states()}")
        stopped = deployment.view(first)
        assert stopped["state"] == "STOPPED"
        assert "time" in str(stopped["reason"])
        assert 3 < stopped["shards_done"] < stopped["shards"]
        begin()
        wait_for(lambda: states() == ["DONE", "STOPPED"], 180.0, lambda: f"the next night ends: {states()}")
    assert deployment.counts("news") == serial_counts(texts)
    parts.engine.dispose()
