"""The dashboard's queries and the alerts' page while workers run. HANMILL_TEST_PICTURES=DIR has it take pictures."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.engine import transact
from storage.schedules import NewSchedule, add
from tests.support.availability import need_module
from tests.support.browser import take_picture
from tests.support.dashboard_picture import Series, answers, draw, panels
from tests.support.deployment import Deployment, wait_for
from tests.support.exporter_server import running_exporter
from tests.support.processes import wait_until
from tests.support.prometheus_server import PrometheusServer, running_prometheus

if TYPE_CHECKING:
    from playwright.sync_api import Page

need_module("prometheus_client")
need_module("torch")

#: Documents of the job: enough to see it, and more where a picture is to be taken of it.
DOCUMENTS, DOCUMENTS_OF_PICTURE = 300, 120_000
#: How many different texts two small jobs begin with.
FEW = {"first": 40, "second": 60}
#: What a job that runs must show, whatever else there is.
LIVELY = {
    "Documents a second",
    "Tokens a second",
    "Input a second",
    "Shards of jobs that go on",
    "Seconds per shard",
    "Attempts a second by outcome",
    "Workers and busy processes",
    "Messages: waiting and in flight",
    "Batch fill and padding waste",
    "What the time of a run goes to",
    "Memory of Redis",
    "Parts that answer",
}


def picture_directory() -> Path | None:
    directory = os.environ.get("HANMILL_TEST_PICTURES")
    return Path(directory) if directory else None


@pytest.fixture
def mill(home: Path, sqlite_url: str, redis_url: str) -> Iterator[Deployment]:
    made = Deployment(home, sqlite_url, redis_url)
    yield made
    made.parts.engine.dispose()


def write(path: Path, texts: list[str], documents: int) -> Path:
    lines = (
        json.dumps({"text": f"{text}（{number}）"}, ensure_ascii=False)
        for number, text in enumerate(islice(cycle(texts), documents))
    )
    path.write_text("\n".join(lines) + "\nno json\n", encoding="utf-8")
    return path


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(600)
def test_the_dashboard_and_the_alerts_show_a_job_while_it_runs(
    mill: Deployment, tmp_path: Path, sample_texts: list[str], browser_page: Page
) -> None:
    wanted = picture_directory()
    documents = DOCUMENTS if wanted is None else DOCUMENTS_OF_PICTURE
    path = write(tmp_path / "corpus.jsonl", sample_texts, documents)
    # The second has texts that the first had not: a run over known texts alone fills no batch.
    few = [
        write(tmp_path / f"{name}.jsonl", sample_texts[:number], max(number, documents // 200))
        for name, number in FEW.items()
    ]
    with (
        running_exporter(mill.environment(), mill.settings.home) as exporter,
        running_prometheus(exporter.address, tmp_path) as prometheus,
    ):
        wait_until(lambda: prometheus.target_health() == "up", "Prometheus reaches the exporter")
        begin_s = time.time()
        nightly = NewSchedule("nightly", "新闻", ["count"], "30 1 * * *", "Asia/Shanghai")
        transact(mill.parts.engine, lambda connection: add(connection, nightly))
        with mill.workers(1), mill.workers(1, "models", "gpu"):
            submitted = mill.submit([path], "新闻", operations=["count", "tokenize"], shard_bytes=documents * 20)
            # One after the other: of a series that has just begun no rate is known.
            for runs, one in enumerate(few, start=1):
                mill.wait(mill.submit([one], "摘要", operations=["summarize"]), 300.0)
                query = "sum(hanmill_model_runs_total)"
                wait_until(lambda: (prometheus.value(query) or 0) >= runs, "Prometheus has seen the run")  # noqa: B023 - called at once
            if wanted is None:
                mill.wait(submitted, 300.0)
                # Prometheus sees the last changes with its next look at the exporter.
                wait_for(
                    lambda: not _empty(prometheus, begin_s), 180.0, lambda: f"lines in {_empty(prometheus, begin_s)}"
                )
            else:
                ready_s = begin_s + 70
                wait_for(lambda: time.time() > ready_s, 150.0, lambda: "there is something to see")
            span = (begin_s, time.time())
            drawn = [(panel, _asked(prometheus, panel, span)) for panel in panels()]
            if wanted is not None:
                draw(wanted / "dashboard.png", drawn)
            browser_page.goto(prometheus.alerts_page())
            browser_page.get_by_text("HanmillNoWorker").first.wait_for()
            if wanted is not None:
                take_picture(browser_page, wanted, "alerts", full_page=True)
    assert {panel["title"] for panel, series in drawn if not series} & LIVELY == set()


def _empty(prometheus: PrometheusServer, begin_s: float) -> set[str]:
    """Return the panels that should show something by now, and show nothing."""
    span = (begin_s, time.time())
    lively = [panel for panel in panels() if panel["title"] in LIVELY]
    return {panel["title"] for panel in lively if not _asked(prometheus, panel, span)}


def _asked(prometheus: PrometheusServer, panel: dict[str, Any], span: tuple[float, float]) -> list[Series]:
    return [] if panel["type"] == "row" else answers(prometheus, panel, span, "15s")
