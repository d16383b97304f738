"""Flower before a real worker, asked by HTTP: who may look, what is closed, what tasks are called, what stays."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from storage.broker_state import client_url
from tests.support.availability import REPOSITORY, need_module
from tests.support.deployment import Deployment, wait_for
from tests.support.flower_server import CONTROLS, PASSWORD, USER, FlowerServer, free_port, running_flower, until
from tests.support.poisoned_worker import POISON, running_poisoned_worker
from tests.support.tls_proxy import tls_in_front
from workers.task_names import INGEST

need_module("flower")

#: Several processes start, one after the other, and a busy machine takes its time.
pytestmark = pytest.mark.timeout(300)

#: The password of a broker.
SECRET = "offen-sesam"
#: A text that is nobody's business.
PRIVATE = "机密：明日午时"
GOOD = "今天天气很好，我们去北京看长城。"


@pytest.fixture
def mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    """Return a deployment in which a document is dead after it has failed once."""
    made = Deployment(home, sqlite_url, redis_url, max_failures=1)
    yield made
    made.parts.engine.dispose()


def write(path: Path, text: str) -> Path:
    path.write_text(json.dumps({"text": text}, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def is_watched(flower: FlowerServer) -> bool:
    """Say whether Flower hears of workers; what passed before is not seen."""
    return any(worker["status"] for worker in json.loads(flower.ask("/workers?json=1").text)["data"])


def worker_page(flower: FlowerServer, name: str) -> str:
    """Return the page of a worker, once the worker has found the time to answer."""
    until(lambda: flower.ask(f"/worker/{name}").status == 200, "the worker tells about itself")
    return flower.ask(f"/worker/{name}").text


def worker_name(flower: FlowerServer) -> str:
    return str(json.loads(flower.ask("/workers?json=1").text)["data"][0]["hostname"])


@pytest.mark.slow
def test_a_failed_attempt_is_a_failed_task_with_its_reason_and_leaves_the_ledger_exact(
    mill: Deployment, tmp_path: Path
) -> None:
    with running_flower(mill.environment(), mill.settings.home) as flower, running_poisoned_worker(mill) as log:
        until(lambda: is_watched(flower), "Flower sees the worker")
        good = mill.submit([write(tmp_path / "good.jsonl", GOOD)], "news")
        bad = mill.submit([write(tmp_path / "bad.jsonl", GOOD + POISON)], "poems")
        gone_path = write(tmp_path / "gone.jsonl", GOOD)
        gone = mill.submit([gone_path], "letters")
        gone_path.unlink()
        assert mill.wait(good)[0]["state"] == "DONE"
        (ended,) = mill.wait(bad)
        assert (ended["state"], ended["dead"], ended["failures"]) == ("DONE_WITH_DEAD", 1, 1)
        shard, job = 1, bad.jobs[0].id

        def rows(word: str, state: str) -> list[dict[str, object]]:
            return [row for row in flower.tasks() if word in str(row["args"]) and row["state"] == state]

        until(lambda: len(rows("poems", "FAILURE")) == 2, "the failed attempt and the burial are shown")
        reasons = sorted(str(row["exception"]) for row in rows("poems", "FAILURE"))
        assert reasons[0].startswith(f"attempt 1 failed: ValueError: {POISON}：这一篇算不出来 ({tmp_path}/bad.jsonl")
        assert reasons[1].startswith(f"attempt 2 set aside as dead letter: {tmp_path}/bad.jsonl, line 1")
        works = {str(row["args"]) for row in rows("poems", "FAILURE")}
        assert {work.partition(" · shard")[0] for work in works} == {f"poems · count · job {job}"}
        assert {work.rpartition(" · ")[2] for work in works} == {"attempt 1", "attempt 2"}
        assert rows("news · count · job 1 · shard 1 · attempt 1", "SUCCESS"), shard
        assert rows("news · count · job 1", "SUCCESS")[0]["kwargs"] in {"shard=1, job=1", "job=1, shard=1"}
        # A source that is away is nobody's failure: the attempt is shown as one that is tried again.
        until(lambda: bool(rows(f"letters · count · job {gone.jobs[0].id}", "RETRY")), "a deferred attempt is shown")
        assert "gone.jsonl" in str(rows("letters", "RETRY")[0]["exception"])
        text = log.read_text(encoding="utf-8")
    assert "Traceback" not in text
    assert text.count("shard.failed") == 1


@pytest.mark.slow
def test_what_was_seen_is_there_after_a_restart(mill: Deployment, tmp_path: Path) -> None:
    done = ("news · count · job 1 · shard 1 · attempt 1", "SUCCESS")
    with mill.workers():
        with running_flower(mill.environment(), mill.settings.home) as flower:
            until(lambda: is_watched(flower), "Flower sees the worker")
            mill.wait(mill.submit([write(tmp_path / "a.jsonl", GOOD)], "news"))
            until(lambda: done in flower.works(), "the task is shown")
            with Celery(broker=mill.settings.broker_url, set_as_current=False) as stranger:
                documents = {"corpus": "letters", "documents": [{"key": "a1", "text": PRIVATE}]}
                stranger.send_task(INGEST, kwargs=documents, queue="hanmill.control", ignore_result=True)
            until(lambda: ("documents for letters", "SUCCESS") in flower.works(), "the documents are shown")
        kept = list((mill.settings.home / "flower").glob("history*"))
        assert kept
        assert not any(PRIVATE.encode() in path.read_bytes() for path in kept), "a monitor keeps no document"
        with running_flower(mill.environment(), mill.settings.home) as again:
            assert again.works() >= {done, ("documents for letters", "SUCCESS")}
            assert PRIVATE not in json.dumps(json.loads(again.ask("/api/tasks").text), ensure_ascii=False)


def controls() -> list[str]:
    """Return the path of everything in Flower's API that can be posted to."""
    from flower.urls import handlers  # noqa: PLC0415 - loads tornado

    paths = [one.regex.pattern if hasattr(one, "regex") else one[0] for one in handlers]
    kinds = [one.handler_class if hasattr(one, "handler_class") else one[1] for one in handlers]
    posted = [path.rstrip("$") for path, kind in zip(paths, kinds, strict=True) if "post" in vars(kind)]
    return [path for path in posted if path.startswith("/api/")]


@pytest.mark.slow
def test_nothing_can_be_changed_by_the_page_unless_it_was_started_writable(mill: Deployment) -> None:
    found = controls()
    assert len(found) >= 13, found
    environment, home = mill.environment(), mill.settings.home
    with mill.workers() as worker:
        with running_flower(environment, home) as flower:
            until(lambda: is_watched(flower), "Flower sees the worker")
            name = worker_name(flower)
            for path in found:
                answer = flower.ask(path.replace("(.+)", name), method="POST")
                assert answer.status == 403, (path, answer)
            page = worker_page(flower, name)
            assert [control for control in CONTROLS if f'id="{control}' in page] == []
            assert worker.poll() is None
        with running_flower(environment, home, ["--writable"]) as flower:
            until(lambda: is_watched(flower), "Flower sees the worker")
            until(lambda: name in flower.ask("/api/workers?refresh=1").text, "Flower has asked the worker")
            page = worker_page(flower, name)
            assert [control for control in CONTROLS if f'id="{control}' in page] == list(CONTROLS)
            assert flower.ask(f"/api/worker/shutdown/{name}", method="POST", user=None).status == 401
            assert worker.poll() is None
            assert flower.ask(f"/api/worker/shutdown/{name}", method="POST").status == 200
            wait_for(lambda: worker.poll() is not None, 30.0, lambda: "the worker ends")


def test_nobody_looks_without_a_password(mill: Deployment) -> None:
    environment = {**mill.environment(), "FLOWER_UNAUTHENTICATED_API": "true"}
    several = f"{USER}:{PASSWORD}, night:watch-it"
    with running_flower(environment, mill.settings.home, users=several) as flower:
        pages = ["/", "/workers", "/tasks", "/broker", "/metrics", "/api/workers", "/api/tasks", "/tasks/datatable"]
        for path in pages:
            assert flower.ask(path, user=None).status == 401, path
            assert flower.ask(path, user=f"{USER}:wrong").status == 401, path
        assert flower.ask("/workers", user="night:watch-it").status == 200
        assert "flower_" in flower.ask("/metrics").text or flower.ask("/metrics").status == 200
        assert flower.ask("/healthcheck", user=None).text == "OK"


def test_on_this_machine_alone_a_password_is_made_and_kept_for_its_owner(mill: Deployment) -> None:
    with running_flower(mill.environment(), mill.settings.home, users="") as flower:
        kept = mill.settings.home / "flower" / "password"
        assert flower.ask("/workers", user=None).status == 401
        assert flower.ask("/workers", user=f"hanmill:{kept.read_text(encoding='ascii')}").status == 200
        assert str(kept) in flower.log.read_text(encoding="utf-8")
    directory = mill.settings.home / "flower"
    assert directory.stat().st_mode & 0o077 == 0
    for path in (kept, directory / "cookie_secret"):
        assert path.stat().st_mode & 0o077 == 0


CELERY = [sys.executable, "-m", "celery", "-A", "workers.app", "flower", "--conf=workers/flower/flowerconfig.py"]
HANMILL = [sys.executable, "-m", "workers.cli.main", "flower"]


@pytest.mark.parametrize("command", [CELERY, HANMILL], ids=["celery", "hanmill"])
@pytest.mark.parametrize("address", ["0.0.0.0", "::"])  # noqa: S104 - refused
def test_it_refuses_to_be_open_to_other_machines(home: Path, command: list[str], address: str) -> None:
    environment = {**os.environ, "HANMILL_HOME": str(home), "HANMILL_BROKER_URL": "redis+socket:///nowhere"}
    ended = subprocess.run(
        [*command, f"--address={address}", f"--port={free_port()}"],
        env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=180,
    )  # fmt: skip
    assert ended.returncode == 2
    assert "HANMILL_FLOWER_USERS" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_configuration_serves_celerys_own_command_too(mill: Deployment) -> None:
    with running_flower(mill.environment(), mill.settings.home, command=CELERY) as flower:
        assert flower.ask("/workers", user=None).status == 401
        assert flower.ask("/api/worker/shutdown/x", method="POST").status == 403
        assert ">Work</th>" in flower.ask("/tasks").text


def test_the_queues_are_seen_through_tls_too(home: Path, sqlite_url: str, redis_url: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", GOOD)
    Deployment(home, sqlite_url, redis_url).submit([path], "news")
    with tls_in_front(redis_url, tmp_path) as (port, authority):
        url = f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs=required&ssl_ca_certs={authority}"
        mill = Deployment(home, sqlite_url, url)
        with running_flower(mill.environment(), home) as flower:
            shown = flower.ask("/broker").text
            until(lambda: "Connected to rediss" in flower.log.read_text(encoding="utf-8"), "Flower listens to events")
        assert [int(number) for number in re.findall(r'secondary-column">(\d+)</td>', shown)] == [0, 1, 0], shown
        assert "Unable" not in flower.log.read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_password_of_the_broker_stands_on_no_page_and_in_no_log(
    home: Path, sqlite_url: str, redis_url: str
) -> None:
    client = redis.Redis.from_url(client_url(redis_url))
    client.config_set("requirepass", SECRET)
    client.close()
    mill = Deployment(home, sqlite_url, redis_url.replace("://", f"://:{SECRET}@"))
    with mill.workers(), running_flower(mill.environment(), home) as flower:
        until(lambda: is_watched(flower), "Flower sees the worker")
        name = worker_name(flower)
        worker_page(flower, name)
        pages = ["/workers", f"/worker/{name}", "/broker", "/api/workers?refresh=1", "/tasks", "/metrics"]
        shown = {path: flower.ask(path) for path in pages}
        assert all(answer.status == 200 for answer in shown.values()), shown
        assert "hanmill.cpu" in shown["/broker"].text
        assert "redis+socket://:***@" in shown["/api/workers?refresh=1"].text
        for path, answer in shown.items():
            assert SECRET not in answer.text, path
    assert SECRET not in flower.log.read_text(encoding="utf-8")
    mill.parts.engine.dispose()
