"""Flower in a real browser, as an operator sees it. HANMILL_TEST_PICTURES=DIR has it take the docs' pictures."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.availability import REPOSITORY, need_module
from tests.support.browser import OpenPage, take_picture
from tests.support.deployment import Deployment
from tests.support.flower_server import CONTROLS, PASSWORD, USER, FlowerServer, running_flower, until
from tests.support.poisoned_worker import POISON, running_poisoned_worker

need_module("flower")
need_module("playwright")

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SAMPLE = REPOSITORY / "tests" / "samples" / "corpus"


@pytest.fixture
def mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    """Return a deployment in which a document is dead after it has failed once."""
    made = Deployment(home, sqlite_url, redis_url, max_failures=1)
    yield made
    made.parts.engine.dispose()


@pytest.fixture
def flower(mill: Deployment, home: Path) -> Iterator[FlowerServer]:
    """Return a Flower that has seen a worker count some corpora, one with a document that cannot be counted."""
    poems = home / "poems.jsonl"
    texts = ["床前明月光，疑是地上霜。", f"举头望{POISON}，低头思故乡。"]
    poems.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    with running_flower(mill.environment(), mill.settings.home) as server, running_poisoned_worker(mill):
        until(lambda: '"status": true' in server.ask("/workers?json=1").text, "Flower sees the worker")
        orders = [mill.submit([SAMPLE], "sample", shard_bytes=60_000), mill.submit([poems], "poems")]
        for order in orders:
            mill.wait(order)
        # Both poems together, the bad one alone, and then its burial.
        until(lambda: sum(state == "FAILURE" for _, state in server.works()) == 3, "three failures are shown")
        yield server


def picture(page: Page, name: str, *, full_page: bool = False) -> None:
    """Take a picture for the docs, where somebody asked for it."""
    directory = os.environ.get("HANMILL_TEST_PICTURES")
    if directory:
        take_picture(page, Path(directory), name, full_page=full_page)


def test_an_operator_sees_who_works_on_what_and_why_it_failed(flower: FlowerServer, open_page: OpenPage) -> None:
    from playwright.sync_api import Error, expect  # noqa: PLC0415 - slow

    for credentials in (None, {"username": USER, "password": "wrong"}):
        stranger = open_page(http_credentials=credentials)
        # Where nobody can be asked for a password, it is an error of the browser's.
        with suppress(Error):
            refused = stranger.goto(flower.url)
            assert refused is not None
            assert refused.status == 401
        assert stranger.locator("table").count() == 0

    page = open_page(http_credentials={"username": USER, "password": PASSWORD})
    page.goto(flower.url)
    expect(page.locator("#workers-online")).to_have_text("1")
    worker = page.locator("#workers-table tbody tr")
    expect(worker).to_have_count(1)
    expect(worker).to_contain_text("mill1@")
    expect(worker).to_contain_text("Online")
    picture(page, "flower-workers")

    page.goto(f"{flower.url}/tasks")
    heads = page.locator("#tasks-table th").all_text_contents()
    assert [head for head in dict.fromkeys(map(str.strip, heads)) if head] == [
        "Work", "State", "Worker", "Runtime", "Reason", "Received", "Task", "Message"
    ]  # fmt: skip
    rows = page.locator("#tasks-table tbody")
    expect(rows).to_contain_text("hanmill.run_shard")
    picture(page, "flower-tasks")
    page.get_by_role("searchbox").fill('kwargs:job=1 result:"attempt 1 done"')
    expect(rows).to_contain_text(re.compile(r"sample · count · job 1 · shard \d+ · attempt 1"))
    expect(rows).not_to_contain_text("poems")
    page.get_by_role("searchbox").fill("")

    page.get_by_role("button", name="Failed").click()
    failed = page.locator("#tasks-table tbody tr")
    expect(failed).to_have_count(3)
    expect(failed.filter(has_text="line 2")).to_contain_text("set aside as dead letter")
    expect(failed.filter(has_text="attempt 2")).to_contain_text(re.compile(r"poems · count · job 2 · shard \d+ · att"))
    expect(failed.filter(has_text="attempt 1 failed: ValueError")).to_have_count(2)

    failed.filter(has_text="attempt 1 failed").first.get_by_role("link").last.click()
    details = page.locator(".task-details-card")
    expect(details).to_contain_text("FAILURE")
    expect(details).to_contain_text("attempt 1 failed: ValueError")
    expect(details).to_contain_text("poems.jsonl")
    expect(details).not_to_contain_text("Traceback")
    picture(page, "flower-task", full_page=True)


def test_nothing_can_be_stopped_from_the_page(flower: FlowerServer, open_page: OpenPage) -> None:
    from playwright.sync_api import expect  # noqa: PLC0415 - slow

    page = open_page(http_credentials={"username": USER, "password": PASSWORD})
    page.goto(f"{flower.url}/workers")
    page.get_by_role("link", name=re.compile("mill1@")).first.click()
    expect(page.locator("body")).to_contain_text("hanmill.cpu")
    for control in CONTROLS:
        expect(page.locator(f"[id^={control}]")).to_have_count(0)
    # The page's own scripts are refused as well.
    status = page.evaluate(
        "async (worker) => (await fetch('/api/worker/shutdown/' + worker, {method: 'POST'})).status",
        page.url.rpartition("/")[2],
    )
    assert status == 403
    page.goto(f"{flower.url}/broker")
    expect(page.locator("#queue-table")).to_contain_text("hanmill.control")
