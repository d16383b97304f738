"""Documents from programs: durable at once, counted exactly once, and held back when too many wait."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from storage import jobs
from storage.corpora import corpus_id_of
from storage.engine import reading, transact
from storage.errors import BackPressureError, UsageError
from storage.schema import documents
from storage.tokens import export_rows
from tests.support.deployment import Deployment
from tests.support.reference import serial_counts
from workers.producer import Producer


@pytest.fixture
def quick(home: Path, database_url: str, redis_url: str) -> Iterator[Deployment]:
    """Return a deployment whose open jobs are sealed after a moment."""
    made = Deployment(home, database_url, redis_url, seal_after_s=1.0)
    yield made
    made.parts.engine.dispose()


def _numbered(texts: list[str]) -> list[dict[str, Any]]:
    return [{"key": f"文档{number}", "text": text} for number, text in enumerate(texts)]


def test_enqueued_documents_are_counted_and_cut(quick: Deployment, sample_texts: list[str]) -> None:
    given = _numbered(sample_texts[:30])
    with quick.workers(2), Producer(quick.settings) as producer:
        job_ids = producer.enqueue(given, corpus="feed", operations=["count", "tokenize"])
        assert len(job_ids) == 2
        # The same again is the same: producers may repeat what they are not sure of.
        producer.enqueue(given, corpus="feed", operations=["count", "tokenize"])
        _wait_all(quick)
    assert quick.counts("feed") == serial_counts(sample_texts[:30])
    engine = quick.parts.engine
    with reading(engine) as connection:
        corpus_id = corpus_id_of(connection, "feed")
        job = jobs.newest_complete(connection, corpus_id, "tokenize")
        assert job is not None
        rows = list(export_rows(connection, corpus_id, job.fingerprint))
    assert sorted(row["key"] for row in rows) == sorted(document["key"] for document in given)
    text_of = {document["key"]: document["text"] for document in given}
    assert all("".join(row["tokens"]) == text_of[row["key"]] for row in rows)


def test_documents_streamed_one_by_one_join_one_open_job(quick: Deployment, sample_texts: list[str]) -> None:
    with Producer(quick.settings) as producer:
        given = _numbered(sample_texts[:10])
        joined = {job_id for document in given for job_id in producer.enqueue([document], corpus="feed")}
        assert len(joined) == 1
        producer.seal(joined)
    with quick.workers(1):
        _wait_all(quick)
    assert quick.counts("feed") == serial_counts(sample_texts[:10])


def test_a_client_without_our_package_or_database_ingests_by_name(
    quick: Deployment, redis_url: str, sample_texts: list[str], until: Callable[[Callable[[], bool], str], None]
) -> None:
    client = Celery(broker=redis_url, set_as_current=False)
    message = {"corpus": "remote", "documents": _numbered(sample_texts[:5]), "operations": ["count"]}
    with quick.workers(1):
        for _ in range(2):
            client.send_task("hanmill.ingest", kwargs=message, queue="hanmill.control", ignore_result=True)
        until(lambda: _complete(quick, "remote"), "the ingested documents are counted")
    client.close()
    assert quick.counts("remote") == serial_counts(sample_texts[:5])


def test_above_the_high_water_mark_a_producer_is_refused_or_waits(
    home: Path, sqlite_url: str, redis_url: str, sample_texts: list[str]
) -> None:
    full = Deployment(home, sqlite_url, redis_url, high_water_shards=3, seal_after_s=1.0)
    more = {"key": "more", "text": "太多了"}
    with Producer(full.settings) as producer:
        for document in _numbered(sample_texts[:3]):
            producer.enqueue([document], corpus="feed")
        with pytest.raises(BackPressureError, match="0 documents of this call are in"):
            producer.enqueue([more], corpus="feed", wait_s=0)
        with full.workers(1):
            producer.enqueue([more], corpus="feed", wait_s=60)
            _wait_all(full)
    assert full.counts("feed") == serial_counts([*sample_texts[:3], "太多了"])


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        ({"key": "a", "text": 5}, "must be a string"),
        ({"key": "a", "text": "x\x00y"}, "NUL"),
        ({"key": "a", "text": "\ud800"}, "surrogate"),
        ({"text": "没有键"}, "its key must be a string"),
        ({"key": "", "text": "x"}, "1 to 512"),
        ("just text", "must be a mapping"),
    ],
)
def test_a_document_that_cannot_be_stored_is_refused_by_name(
    home: Path, sqlite_url: str, redis_url: str, document: Any, fault: str
) -> None:
    deployment = Deployment(home, sqlite_url, redis_url)
    with Producer(deployment.settings) as producer, pytest.raises(UsageError, match=fault):
        producer.enqueue([document], corpus="feed")
    with reading(deployment.parts.engine) as connection:
        assert connection.execute(documents.select()).all() == []


def _complete(deployment: Deployment, corpus: str) -> bool:
    def done(connection: Any) -> bool:
        try:
            corpus_id = corpus_id_of(connection, corpus)
        except UsageError:
            return False
        return jobs.newest_complete(connection, corpus_id, "count") is not None

    return transact(deployment.parts.engine, done)


def _wait_all(deployment: Deployment) -> None:
    from tests.support.deployment import wait_for  # noqa: PLC0415 - only here

    def ended() -> bool:
        with reading(deployment.parts.engine) as connection:
            return not jobs.list_ids(connection, unfinished=True)

    wait_for(ended, 180.0, lambda: "all jobs end")
