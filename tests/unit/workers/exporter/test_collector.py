"""Metrics have bounded labels, counters that never fall, and zeros for what has not happened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from storage.broker_state import BrokerHealth
from storage.errors import TransientError
from storage.metrics import Progress, Waiting
from storage.metrics_history import BUCKETS_S, Durations
from storage.progress import OperationTotals
from tests.support.exporter_server import Samples, key, samples_of
from workers.exporter.collector import NAMED_CORPORA, Counters, HanmillCollector
from workers.exporter.reading import Part
from workers.exporter.sources import Broker, History, Ledger

QUEUES = {"hanmill.cpu": 3, "hanmill.gpu": 0, "hanmill.control": 1}
HEALTH = BrokerHealth("7.2.0", "noeviction", persistent=True, used_memory_bytes=1000, maxmemory_bytes=4000)


def ledger(**values: Any) -> Ledger:
    empty: dict[str, Any] = {"jobs": {}, "shards": {}, "waiting": [], "busy": {}, "progress": [], "totals": []}
    return Ledger(**{**empty, "letters": {}, "schedules": [], **values})


def history(**values: Any) -> History:
    empty: Mapping[str, Any] = {"outcomes": {}, "durations": {}, "runs": {}}
    return History(**{**empty, **values})


def totals(operation: str, number: int) -> OperationTotals:
    return OperationTotals(operation, *[number] * 7)


class Deployment:
    """What the parts say, to be changed between scrapes; None stands for one that is away."""

    def __init__(self, **parts: Any) -> None:
        self.parts = {"ledger": ledger(), "history": history(), "broker": Broker(QUEUES, QUEUES), **parts}
        # Never kept: every scrape asks.
        made = (
            Part(name, self._reader(name), cache_s=-1.0, patience_s=30.0) for name in ("ledger", "history", "broker")
        )
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(HanmillCollector(*made))

    def _reader(self, name: str) -> Any:
        def read() -> Any:
            if self.parts[name] is None:
                message = "away"
                raise TransientError(message)
            return self.parts[name]

        return read

    def scrape(self) -> Samples:
        return samples_of(generate_latest(self._registry).decode())


def test_counters_never_fall_when_rows_are_pruned() -> None:
    counters = Counters()
    assert [counters.value(("a",), found) for found in (5, 9, 2, 4, 0, 1)] == [5, 9, 9, 11, 11, 12]
    assert counters.value(("b",), 1) == 1


def test_what_was_done_is_counted_by_operation_and_what_was_not_is_zero() -> None:
    found = Deployment(ledger=ledger(totals=[totals("count", 7)])).scrape()
    assert found[key("hanmill_processed_documents_total", operation="count")] == 7
    assert found[key("hanmill_processed_documents_total", operation="classify")] == 0
    assert found[key("hanmill_attempts_total", operation="count", outcome="lost")] == 0
    assert found[key("hanmill_shards", operation="count", queue="hanmill.cpu", state="queued")] == 0


def test_jobs_whose_figures_do_not_add_up_are_counted() -> None:
    assert Deployment().scrape()[key("hanmill_jobs_not_adding_up")] == 0
    assert Deployment(ledger=ledger(wrong_jobs=2)).scrape()[key("hanmill_jobs_not_adding_up")] == 2


def test_a_part_that_is_away_takes_nothing_else_along() -> None:
    found = Deployment(ledger=None, history=None).scrape()
    assert found[key("hanmill_up", part="ledger")] == 0
    assert found[key("hanmill_up", part="broker")] == 1
    assert found[key("hanmill_queue_waiting", queue="hanmill.cpu")] == 3
    assert not any(name == "hanmill_processed_documents_total" for name, _ in found)


def test_counters_go_on_where_they_were_when_a_part_comes_back() -> None:
    deployment = Deployment(ledger=ledger(totals=[totals("count", 7)]))
    before = deployment.scrape()
    deployment.parts["ledger"] = None
    deployment.scrape()
    deployment.parts["ledger"] = ledger(totals=[totals("count", 3)])
    after = deployment.scrape()
    documents = key("hanmill_processed_documents_total", operation="count")
    assert (before[documents], after[documents]) == (7, 7)


def test_corpora_beyond_the_limit_are_summed_and_nothing_is_lost() -> None:
    open_jobs = [Progress(f"语料{number}", "count", 10, 4, 1000, 400) for number in range(NAMED_CORPORA + 5)]
    found = Deployment(ledger=ledger(progress=open_jobs)).scrape()
    shards = {dict(labels)["corpus"]: value for (name, labels), value in found.items() if name == "hanmill_job_shards"}
    assert len(shards) == NAMED_CORPORA + 1
    assert shards["(other)"] == 50
    assert sum(shards.values()) == 10 * len(open_jobs)
    assert found[key("hanmill_job_progress_ratio", corpus="(other)", operation="count")] == pytest.approx(0.4)


def test_a_corpus_may_be_called_anything() -> None:
    name = '新闻 "2026"\\\n第二行'
    found = Deployment(ledger=ledger(progress=[Progress(name, "count", 1, 0, 9, 0)])).scrape()
    assert found[key("hanmill_job_shards", corpus=name, operation="count")] == 1


def test_an_operation_of_a_newer_version_is_shown_without_its_queue() -> None:
    waiting = [Waiting("translate", queued_s=5.0, due_s=None, leased_s=None)]
    found = Deployment(ledger=ledger(shards={("translate", "QUEUED"): 2}, waiting=waiting)).scrape()
    assert found[key("hanmill_shards", operation="translate", queue="", state="queued")] == 2
    assert found[key("hanmill_oldest_queued_shard_seconds", operation="translate", queue="")] == 5


def test_seconds_per_shard_are_a_histogram_whose_classes_include_the_shorter_ones() -> None:
    at_most = tuple(range(1, len(BUCKETS_S) + 1))
    durations = {"count": Durations(at_most, 20, 77.5)}
    found = Deployment(history=history(durations=durations)).scrape()
    assert found[key("hanmill_shard_seconds_bucket", operation="count", le="0.1")] == 1
    assert found[key("hanmill_shard_seconds_bucket", operation="count", le="+Inf")] == 20
    assert found[key("hanmill_shard_seconds_count", operation="count")] == 20
    assert found[key("hanmill_shard_seconds_sum", operation="count")] == 77.5


def test_of_redis_memory_and_policy_are_shown_and_of_rabbitmq_neither() -> None:
    with_redis = Deployment(broker=Broker(QUEUES, QUEUES, in_flight=QUEUES, redis=HEALTH)).scrape()
    assert with_redis[key("hanmill_redis_memory_max_bytes")] == 4000
    assert with_redis[key("hanmill_redis_evicts")] == 0
    assert with_redis[key("hanmill_queue_in_flight", queue="hanmill.control")] == 1
    without = Deployment().scrape()
    assert not any(name.startswith(("hanmill_redis", "hanmill_queue_in_flight")) for name, _ in without)
    assert without[key("hanmill_workers", queue="hanmill.cpu")] == 3
