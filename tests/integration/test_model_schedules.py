"""Nights in which models work: another default model, workers of their own queue, and an hour at which they stop."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from tests.support.availability import need_module

need_module("torch")

from safetensors.torch import load_file

from storage import schedule_runs, schedules
from storage.engine import AnyRow, now, reading, transact
from storage.schema import attempts, job_limits, jobs, label_scores, shards, summaries
from storage.schema import schedules as schedule_table
from storage.sources import ListingOptions
from tasks import model_runners
from tasks.classify.operation import DEFAULT
from tasks.nn import batch_runner
from tasks.nn.model_directory import ModelConfig, open_model, write_model
from tasks.summarize.lead import LeadBackend
from tests.support.deployment import Deployment, wait_for
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts
from workers.cli import models
from workers.cli.edge import EdgeGroup
from workers.dispatch import dispatch_job
from workers.run_shard import run_shard
from workers.schedule_fire import tend_schedules
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import start_run
from workers.submit import Order

TEXTS = [f"第{number}篇论文提出一种新的方法，并用公开的数据检验了结果。" for number in range(6)]


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    # How large a batch is worth it takes many texts to find out, and is no matter here.
    monkeypatch.setitem(batch_runner.MAX_TOKEN_BUDGET, "cpu", batch_runner.MIN_TOKEN_BUDGET)
    monkeypatch.setenv("HANMILL_DATABASE_URL", database_url)
    model_runners.drop_runners()
    # A shard and another one are a batch.
    with open_mill(home, database_url, batch_shards=1) as made:
        yield made
    model_runners.drop_runners()


def scheduled(parts: Any, inputs: list[Path], do: list[str], options: dict[str, Any], **timing: Any) -> AnyRow:
    order = Order("papers", [str(path) for path in inputs], do, options, ListingOptions(), shard_bytes=100)
    values = {"cron": "30 1 * * *", "timezone": "Asia/Shanghai", **timing}
    add_schedule(parts, order, Timing(name="nightly", **values))
    with reading(parts.engine) as connection:
        return schedules.get(connection, "nightly")


def begin(mill: InlineMill, schedule: AnyRow) -> list[int]:
    run_id = transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
    return start_run(mill.parts, mill, run_id)


def last_run(parts: Any) -> AnyRow:
    with reading(parts.engine) as connection:
        return schedule_runs.history(connection, "nightly", 1)[0]


def night(mill: InlineMill, schedule: AnyRow) -> dict[str, int]:
    """Have a night pass; return how many attempts each operation cost."""
    job_ids = begin(mill, schedule)
    mill.work(*job_ids)
    tend_schedules(mill.parts.engine, mill)
    assert last_run(mill.parts).state == "DONE"
    counted = select(jobs.c.operation, func.count(attempts.c.id)).outerjoin(attempts, attempts.c.job_id == jobs.c.id)
    with reading(mill.parts.engine) as connection:
        rows = connection.execute(counted.where(jobs.c.id.in_(job_ids)).group_by(jobs.c.operation))
        return {row[0]: row[1] for row in rows}


def number_of(parts: Any, what: Any, *conditions: Any) -> int:
    with reading(parts.engine) as connection:
        return connection.scalar(select(func.count()).select_from(what).where(*conditions)) or 0


def other_classifier(directory: Path) -> Path:
    """Write a model that differs from the one that comes along in one of its tensors."""
    whole = open_model(DEFAULT)
    tensors = load_file(DEFAULT / "model.safetensors")
    name = max(tensors, key=lambda one: tensors[one].numel())
    tensors[name] = -tensors[name]
    listed = json.loads((DEFAULT / "config.json").read_text(encoding="utf-8"))["files"]
    files = {one: (DEFAULT / one).read_bytes() for one in listed if one != "model.safetensors"}
    config = ModelConfig("classifier", whole.config.backend, "other", "2", whole.config.settings)
    write_model(directory, config, tensors, files)
    return directory


def hanmill_models(*arguments: str) -> None:
    """Type a command about models."""
    app = typer.Typer(cls=EdgeGroup)
    models.add_to(app)
    done = CliRunner().invoke(app, ["models", *arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr


def test_another_default_model_has_the_night_compute_what_depends_on_it_and_nothing_else(
    mill: InlineMill, tmp_path: Path
) -> None:
    papers = write_texts(tmp_path / "papers.jsonl", TEXTS)
    schedule = scheduled(mill.parts, [papers], ["tokenize", "summarize", "classify"], {"backend": "lead"})
    first = night(mill, schedule)
    assert min(first.values()) > 0
    assert night(mill, schedule) == {"tokenize": 0, "summarize": 0, "classify": 0}
    hanmill_models("add", str(other_classifier(tmp_path / "other")), "--name", "other")
    assert night(mill, schedule)["classify"] == 0, "added, and not chosen"
    hanmill_models("default", "other")
    assert night(mill, schedule) == {"tokenize": 0, "summarize": 0, "classify": first["classify"]}
    with reading(mill.parts.engine) as connection:
        scores = connection.execute(select(label_scores.c.model, func.count()).group_by(label_scores.c.model)).all()
    assert [count for _, count in scores] == [len(TEXTS)] * 2
    # Back to the first: what it gave is still there.
    hanmill_models("default", "default", "--kind", "classifier")
    assert night(mill, schedule)["classify"] == 0
    # A new document is classified by the model of the night alone.
    write_texts(papers, [*TEXTS, "第七篇：医学研究的新进展，患者的疗效。"])
    assert night(mill, schedule)["classify"] > 0
    assert number_of(mill.parts, label_scores) == 2 * len(TEXTS) + 1
    assert number_of(mill.parts, summaries) == len(TEXTS) + 1


def take_one(mill: InlineMill) -> None:
    """Have the worker take the next message that leads to work, or the last one."""
    before = number_of(mill.parts, attempts)
    while mill.messages and number_of(mill.parts, attempts) == before:
        run_shard(mill.parts, mill.messages.pop(0)[0], "inline@test/1/1")


def test_what_a_model_worker_has_leased_is_finished_and_nothing_more_is_begun(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = [write_texts(tmp_path / f"{number}.jsonl", [text]) for number, text in enumerate(TEXTS)]
    schedule = scheduled(mill.parts, inbox, ["summarize"], {"backend": "lead"}, finish_by="06:00")
    (job_id,) = begin(mill, schedule)
    engine = mill.parts.engine
    take_one(mill)
    assert number_of(mill.parts, summaries) == 2

    def six_o_clock_is_near(connection: Any) -> None:
        # The first batch took long, as far as the ledger knows: what is begun now would not end in time.
        connection.execute(update(attempts).values(started_at=attempts.c.started_at - 600.0))
        connection.execute(update(jobs).values(created_at=jobs.c.created_at - 3600.0))
        connection.execute(update(job_limits).values(stop_at=now() + 60.0))

    compute = LeadBackend.result
    passes: list[str] = []

    def computed(self: LeadBackend, *given: Any) -> Any:
        if not passes:
            transact(engine, six_o_clock_is_near)
            tend_schedules(engine, mill)
            passes.append(view_of(mill, job_id)["state"])
        return compute(self, *given)

    monkeypatch.setattr(LeadBackend, "result", computed)
    take_one(mill)
    assert passes == ["RUNNING"], "what is leased may finish"
    assert number_of(mill.parts, summaries) == 4
    dispatch_job(mill.parts, mill, job_id)
    take_one(mill)
    assert number_of(mill.parts, summaries) == 4
    tend_schedules(engine, mill)
    run = last_run(mill.parts)
    assert run.state == "STOPPED"
    assert "it stopped in time for" in run.detail
    assert number_of(mill.parts, attempts, attempts.c.outcome != "done") == 0
    assert number_of(mill.parts, shards, shards.c.state == "LEASED") == 0
    monkeypatch.undo()
    mill.messages.clear()
    mill.work(*begin(mill, schedule))
    tend_schedules(engine, mill)
    assert last_run(mill.parts).state == "DONE"
    assert number_of(mill.parts, summaries) == len(TEXTS)
    assert number_of(mill.parts, attempts) == len(TEXTS), "nothing twice"


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.timeout(480)
def test_workers_of_the_model_queue_pass_a_night_by_themselves(
    home: Path, postgres_database: str, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(home, postgres_database, redis_url)
    papers = tmp_path / "收件"
    papers.mkdir()
    write_texts(papers / "papers.jsonl", TEXTS)
    evening = datetime.fromtimestamp(time.time() - 60.0, UTC)
    cron = f"{evening.minute} {evening.hour} * * *"
    scheduled(deployment.parts, [papers], ["classify"], {}, cron=cron, timezone="UTC")
    engine = deployment.parts.engine
    due = update(schedule_table).values(next_at=schedule_table.c.next_at - 86400.0)

    def states() -> list[str]:
        with reading(engine) as connection:
            return [run.state for run in schedule_runs.history(connection, "nightly", 9)]

    with deployment.workers(name="control"), deployment.workers(name="models", kind="gpu"):
        transact(engine, lambda connection: connection.execute(due))
        wait_for(lambda: states() == ["DONE"], 240.0, lambda: f"the night's run is done: {states()}")
    run = last_run(deployment.parts)
    assert run.finished_at > run.created_at
    assert number_of(deployment.parts, label_scores) == len(TEXTS)
    with reading(engine) as connection:
        made = schedule_runs.jobs_of(connection, run.id)
        workers = set(connection.scalars(select(attempts.c.worker)))
    assert [(one.operation, one.state) for one in made] == [("classify", "DONE")]
    assert all(worker.startswith("models@") for worker in workers)
    engine.dispose()
