"""A real exporter, before a real Prometheus, while real workers run: what they say is what SQL says."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import yaml
from sqlalchemy import insert, select
from sqlalchemy.sql import func

from storage import dead_letters, progress
from storage.broker_state import client_url
from storage.engine import reading, transact
from storage.schedules import NewSchedule, add
from storage.schema import attempts, schedule_runs
from tests.support.availability import REPOSITORY, give_up, need_module
from tests.support.deployment import Deployment
from tests.support.exporter_server import ExporterServer, key, names_of, running_exporter
from tests.support.mill_results import open_mill
from tests.support.processes import wait_until
from tests.support.prometheus_server import promtool, running_prometheus
from tests.support.rabbitmq_server import is_installed, running_rabbitmq

need_module("prometheus_client")

METRIC = re.compile(r"\bhanmill_[a-z0-9_]+\b")
AWAY = "postgresql://hanmill@127.0.0.1:1/hanmill"


def write(path: Path, texts: list[str]) -> Path:
    lines = "".join(json.dumps({"text": one}, ensure_ascii=False) + "\n" for one in texts)
    path.write_text(lines, encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_prometheus_sees_a_job_as_sql_has_it(deployment: Deployment, tmp_path: Path, sample_texts: list[str]) -> None:
    path = write(tmp_path / "corpus.jsonl", [*sample_texts, ""])
    path.write_bytes(path.read_bytes() + b"no json\n")
    with (
        running_exporter(deployment.environment(), deployment.settings.home) as exporter,
        running_prometheus(exporter.address, tmp_path) as prometheus,
    ):
        wait_until(lambda: prometheus.target_health() == "up", "Prometheus reaches the exporter")
        with deployment.workers(2):
            wait_until(lambda: prometheus.value('hanmill_workers{queue="hanmill.cpu"}') == 1, "the worker is seen")
            deployment.wait(deployment.submit([path], operations=["count", "tokenize"], shard_bytes=20_000))
            wait_until(
                lambda: prometheus.value('sum(hanmill_jobs{state!~"done.*"})') is None, "all jobs are seen ended"
            )
        with reading(deployment.parts.engine) as connection:
            totals = progress.totals_by_operation(connection)
            done = connection.scalar(select(func.count()).where(attempts.c.outcome == "done"))
            standing = len(dead_letters.list_letters(connection, None))
        assert totals
        # What was read a moment before the last shard ended may be shown for some seconds.
        wait_until(lambda: prometheus.value("sum(hanmill_shard_seconds_count)") == done, "the last attempt is seen")
        for one in totals:
            shown = {
                name: prometheus.value(f'hanmill_processed_{name}_total{{operation="{one.operation}"}}')
                for name in ("shards", "documents", "tokens", "bytes")
            }
            expected = {name: getattr(one, name) for name in shown}
            assert shown == expected
        assert prometheus.value("sum(hanmill_dead_letters)") == standing > 0
        wait_until(lambda: prometheus.value('hanmill_queue_in_flight{queue="hanmill.cpu"}') == 0, "all is acknowledged")
        wait_until(lambda: prometheus.value("max(hanmill_workers)") == 0, "the worker that ended is gone")


@contextmanager
def exporter_of(deployment: Deployment) -> Iterator[ExporterServer]:
    with running_exporter(deployment.environment(), deployment.settings.home) as exporter:
        yield exporter


@pytest.fixture
def mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    made = Deployment(home, sqlite_url, redis_url)
    yield made
    made.parts.engine.dispose()


def test_a_broker_that_hangs_is_away_and_the_rest_is_shown(mill: Deployment) -> None:
    with closing(redis.Redis.from_url(client_url(mill.settings.broker_url))) as client:
        server = psutil.Process(int(client.info("server")["process_id"]))
    with exporter_of(mill) as exporter:
        wait_until(lambda: exporter.scrape()[key("hanmill_up", part="broker")] == 1, "the broker is seen")
        server.suspend()
        try:
            wait_until(lambda: exporter.scrape()[key("hanmill_up", part="broker")] == 0, "the broker is missed")
            shown = exporter.scrape()
            assert exporter.get("/-/healthy")[0] == 200
        finally:
            server.resume()
        assert shown[key("hanmill_up", part="ledger")] == 1
        assert not any(name == "hanmill_queue_waiting" for name, _ in shown)
        wait_until(lambda: exporter.scrape()[key("hanmill_up", part="broker")] == 1, "the broker is seen again")


def test_a_database_that_is_away_at_the_start_is_said_and_the_rest_is_shown(home: Path, redis_url: str) -> None:
    deployment = Deployment(home, AWAY, redis_url)
    with exporter_of(deployment) as exporter:
        shown = exporter.scrape()
        assert {part: shown[key("hanmill_up", part=part)] for part in ("ledger", "history", "broker")} == {
            "ledger": 0,
            "history": 0,
            "broker": 1,
        }
        assert exporter.get("/-/healthy") == (200, "healthy\n")
        assert "exporter.part_away" in exporter.log.read_text(encoding="utf-8")


def test_a_database_without_tables_is_away_and_says_why(home: Path, redis_url: str, tmp_path: Path) -> None:
    deployment = Deployment(home, f"sqlite:///{tmp_path / 'none.db'}", redis_url)
    with exporter_of(deployment) as exporter:
        assert exporter.scrape()[key("hanmill_up", part="ledger")] == 0
        assert "there is no database" in exporter.log.read_text(encoding="utf-8")
    assert not (tmp_path / "none.db").exists()


def test_on_sigterm_the_exporter_ends_in_order(mill: Deployment) -> None:
    with exporter_of(mill) as exporter:
        exporter.process.send_signal(signal.SIGTERM)
        assert exporter.process.wait(timeout=180) == 0
        assert "exporter.ended" in exporter.log.read_text(encoding="utf-8")


def test_other_paths_lead_nowhere(mill: Deployment) -> None:
    with exporter_of(mill) as exporter:
        assert exporter.get("/")[0] == 200
        assert exporter.get("/admin")[0] == 404


def test_an_address_that_is_taken_is_wrong_usage() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "workers.cli.main", "exporter", "--port", str(taken.getsockname()[1])]
        ended = subprocess.run(command, check=False, capture_output=True, text=True, env=dict(os.environ), timeout=180)
    assert ended.returncode == 2
    assert "cannot listen on 127.0.0.1" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_rabbitmq_tells_what_waits_and_who_consumes(home: Path, sqlite_url: str) -> None:
    if not is_installed():
        give_up("RabbitMQ is not installed (Debian's package rabbitmq-server)")
    with running_rabbitmq() as url:
        deployment = Deployment(home, sqlite_url, url)
        with deployment.workers(), exporter_of(deployment) as exporter:
            consumed = key("hanmill_workers", queue="hanmill.cpu")
            wait_until(lambda: exporter.scrape().get(consumed) == 1, "RabbitMQ's consumer is seen")
            shown = exporter.scrape()
        deployment.parts.engine.dispose()
    assert shown[key("hanmill_queue_waiting", queue="hanmill.gpu")] == 0
    assert not any(name.startswith("hanmill_redis") for name, _ in shown)


def expressions() -> list[tuple[str, str]]:
    """Return (place, expression) of every query that a file of the deployment asks."""
    dashboard = json.loads((REPOSITORY / "deploy/grafana/dashboards/hanmill.json").read_text(encoding="utf-8"))
    found = [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for group in yaml.safe_load((REPOSITORY / "deploy/prometheus/alerts.yml").read_text(encoding="utf-8"))["groups"]:
        found += [(rule["alert"], rule["expr"]) for rule in group["rules"]]
    for path in sorted((REPOSITORY / "deploy/kubernetes").rglob("*-scaler.yaml")):
        found += [(path.name, query) for query in re.findall(r"query: (.+)", path.read_text(encoding="utf-8"))]
    return found


@pytest.fixture
def worked(home: Path, sqlite_url: str, redis_url: str, tmp_path: Path) -> Iterator[str]:
    """Return the scrape of a deployment that counted, summarized, set documents aside and kept a schedule."""
    need_module("torch")
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415

    from workers.exporter.run import make_collector  # noqa: PLC0415

    path = write(tmp_path / "a.jsonl", ["今天天气很好。我们去北京看长城。明天再说。", ""])
    path.write_bytes(path.read_bytes() + b"no json\n")
    with open_mill(home, sqlite_url) as mill:
        mill.run([path], "新闻", "count")
        mill.run([path], "新闻", "summarize", options={"backend": "lead"})
        mill.submit([write(tmp_path / "b.jsonl", ["还没有算。"])], "杂志", "tokenize")
        transact(mill.parts.engine, _add_schedule)
        settings = mill.parts.settings.model_copy(update={"broker_url": redis_url, "database_url": sqlite_url})
        registry = CollectorRegistry(auto_describe=False)
        registry.register(make_collector(settings))
        yield generate_latest(registry).decode()


def _add_schedule(connection: Any) -> None:
    schedule_id = add(connection, NewSchedule("nightly", "新闻", ["count"], "30 1 * * *", "Asia/Shanghai"))
    run = {"schedule_id": schedule_id, "name": "nightly", "fire_time": 1.0, "timezone": "Asia/Shanghai"}
    times = {"created_at": 1.0, "started_at": 2.0, "finished_at": 3.0}
    connection.execute(insert(schedule_runs).values(**run, **times, trigger="cron", state="DONE"))


def test_every_metric_that_dashboard_alerts_and_scalers_name_is_shown(worked: str) -> None:
    shown = names_of(worked)
    asked = [(place, name) for place, expression in expressions() for name in METRIC.findall(expression)]
    assert len({place for place, _ in asked}) > 20
    assert [(place, name) for place, name in asked if name not in shown] == []


def test_a_metric_that_is_not_there_would_be_noticed(worked: str) -> None:
    assert "hanmill_shards_total" not in names_of(worked)
    assert METRIC.findall('rate(hanmill_shards_total{state="x"}[5m])') == ["hanmill_shards_total"]


def test_metrics_are_named_by_the_rules_of_prometheus(worked: str) -> None:
    checked = promtool("check", "metrics", text=worked)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_promtool_would_find_a_metric_against_the_rules() -> None:
    wrong = "# HELP hanmill_things_total Things.\n# TYPE hanmill_things_total gauge\nhanmill_things_total 1\n"
    assert promtool("check", "metrics", text=wrong).returncode != 0
