"""Documents from a web server, from the order or the schedule to the rows; and servers that change, go and come."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select, update

from storage import schedule_runs, schedules
from storage.engine import AnyRow, reading, transact
from storage.errors import SourceUnavailableError, UsageError
from storage.schema import attempts, dead_letters, shards, tokens
from storage.schema import schedule_runs as run_table
from storage.sources import ListingOptions, web_request
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.file_server import FileServer, running_file_server
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of
from tests.support.reference import serial_counts
from workers.schedule_fire import tend_schedules
from workers.schedule_order import Timing, add_schedule
from workers.schedule_start import start_run
from workers.submit import Order

TEXTS = [f"第{number}篇：今天天气很好，我们去公园散步。" for number in range(400)]


def lines(texts: list[str]) -> str:
    return "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running_file_server() as made:
        yield made


@pytest.fixture
def mill(home: Any, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    with open_mill(home, database_url, max_deferrals=2) as made:
        yield made


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give silent servers up after a moment."""
    monkeypatch.setattr(web_request, "SILENCE_S", 0.2)
    web_request._pool_of_process.cache_clear()
    yield
    web_request._pool_of_process.cache_clear()


def order_of(urls: list[str], **values: Any) -> Order:
    given = {"corpus": "news", "operations": ["tokenize"], "options": {}, "listing": ListingOptions(), **values}
    return Order(inputs=urls, **given)


def schedule_of(mill: InlineMill, *urls: str) -> AnyRow:
    add_schedule(mill.parts, order_of(list(urls)), Timing("nightly", "30 1 * * *", "Asia/Shanghai"))
    with reading(mill.parts.engine) as connection:
        return schedules.get(connection, "nightly")


def begin(mill: InlineMill, schedule: AnyRow) -> int:
    return transact(mill.parts.engine, partial(schedule_runs.fire_now, schedule=schedule))


def pass_night(mill: InlineMill, run_id: int) -> AnyRow:
    """Start a run, do its work, and return the run as it stands then."""
    mill.work(*start_run(mill.parts, mill, run_id))
    tend_schedules(mill.parts.engine, mill)
    with reading(mill.parts.engine) as connection:
        return schedule_runs.history(connection, "nightly", 1)[0]


def number_of(mill: InlineMill, table: Any, *conditions: Any) -> int:
    with reading(mill.parts.engine) as connection:
        return connection.scalar(select(func.count()).select_from(table).where(*conditions)) or 0


def test_workers_count_what_a_server_holds(deployment: Deployment, server: FileServer) -> None:
    half = len(TEXTS) // 2
    urls = [
        server.put("/a.jsonl", lines(TEXTS[:half]), headers={"ETag": '"1"'}),
        server.put("/b.jsonl.gz", gzip.compress(lines(TEXTS[half:]).encode()), has_ranges=False, tells_length=False),
    ]
    with deployment.workers():
        (ended,) = deployment.wait(deployment.submit(urls, shard_bytes=4000))
    assert ended["state"] == "DONE"
    assert ended["shards"] > 3
    assert_adds_up(ended)
    assert deployment.counts() == serial_counts(TEXTS)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"headers": {"ETag": '"1"'}}, {"headers": {"ETag": '"2"'}}),
        (
            {"headers": {"Last-Modified": "Sat, 21 Nov 2026 01:00:00 GMT"}, "has_ranges": False},
            {"headers": {"Last-Modified": "Sun, 22 Nov 2026 01:00:00 GMT"}, "has_ranges": False},
        ),
        ({"has_ranges": False, "tells_length": False}, {"has_ranges": False, "tells_length": False}),
    ],
    ids=["etag", "time", "content"],
)
def test_a_night_takes_what_has_changed_on_the_server_and_nothing_else(
    mill: InlineMill, server: FileServer, first: dict[str, Any], second: dict[str, Any]
) -> None:
    changing = server.put("/a.jsonl", lines(TEXTS[:3]), **first)
    steady = server.put("/b.jsonl.gz", gzip.compress(lines(TEXTS[10:13]).encode()), headers={"ETag": '"b"'})
    schedule = schedule_of(mill, changing, steady)
    assert pass_night(mill, begin(mill, schedule)).state == "DONE"
    assert number_of(mill, tokens) == 6
    computed = number_of(mill, attempts)
    assert pass_night(mill, begin(mill, schedule)).state == "DONE"
    assert number_of(mill, attempts) == computed
    # One text of the same length in place of another.
    server.put("/a.jsonl", lines([*TEXTS[:2], TEXTS[4]]), **second)
    assert pass_night(mill, begin(mill, schedule)).state == "DONE"
    assert number_of(mill, attempts) > computed
    assert number_of(mill, tokens) == 7


def test_a_night_waits_for_a_server_that_is_away_and_then_takes_everything(
    mill: InlineMill, server: FileServer
) -> None:
    url = server.put("/a.jsonl", lines(TEXTS[:3]), headers={"ETag": '"1"'})
    schedule = schedule_of(mill, url)
    server.put("/a.jsonl", b"", status=503)
    run_id = begin(mill, schedule)
    waiting = pass_night(mill, run_id)
    assert (waiting.state, waiting.started_at) == ("RUNNING", None)
    assert "its server answers 503" in waiting.detail
    server.put("/a.jsonl", lines(TEXTS[:3]), headers={"ETag": '"1"'})
    transact(mill.parts.engine, lambda connection: connection.execute(update(run_table).values(starter_until=0.0)))
    assert pass_night(mill, run_id).state == "DONE"
    assert number_of(mill, tokens) == 3


def test_a_night_whose_file_is_gone_fails_and_says_so(mill: InlineMill, server: FileServer) -> None:
    schedule = schedule_of(mill, server.put("/a.jsonl", lines(TEXTS[:3])))
    server.files.clear()
    run = pass_night(mill, begin(mill, schedule))
    assert run.state == "FAILED"
    assert "/a.jsonl does not exist; check the URL" in run.detail


def test_a_file_that_changes_after_it_was_planned_is_planned_anew(mill: InlineMill, server: FileServer) -> None:
    url = server.put("/a.jsonl", lines(TEXTS[:5]), headers={"ETag": '"1"'})
    (job,) = mill.submit([url], "news", "tokenize", shard_bytes=100).jobs
    server.put("/a.jsonl", lines(TEXTS[7:9]), headers={"ETag": '"2"'})
    mill.work()
    view = view_of(mill, job.id)
    assert (view["state"], view["documents"], view["results"]) == ("DONE", 2, 2)
    assert_adds_up(view)


@pytest.mark.usefixtures("impatient")
def test_a_server_that_hangs_becomes_a_dead_letter_that_names_it(mill: InlineMill, server: FileServer) -> None:
    good = server.put("/a.jsonl", lines(TEXTS[:3]), headers={"ETag": '"1"'})
    hanging = server.put("/b.jsonl", lines(TEXTS[3:6]), headers={"ETag": '"1"'})
    (job,) = mill.submit([good, hanging], "news", "tokenize", shard_bytes=500).jobs
    server.put("/b.jsonl", lines(TEXTS[3:6]), headers={"ETag": '"1"'}, silent_after=0)
    mill.work()
    view = view_of(mill, job.id)
    assert view["state"] == "DONE_WITH_DEAD"
    assert number_of(mill, tokens) == 3
    with reading(mill.parts.engine) as connection:
        letters = list(connection.execute(select(dead_letters.c.reason, dead_letters.c.detail)))
    assert {letter.reason for letter in letters} == {"source_unavailable"}
    assert all("was silent for" in letter.detail for letter in letters)
    assert number_of(mill, shards, shards.c.state.not_in(["DONE", "DEAD", "SPLIT"])) == 0


def test_a_schedule_of_a_url_that_is_wrong_is_refused_when_it_is_added(mill: InlineMill, server: FileServer) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        schedule_of(mill, server.url("/gone.jsonl"))
    with pytest.raises(SourceUnavailableError, match="refused"):
        schedule_of(mill, "http://127.0.0.1:9/a.jsonl")
