"""Counts by real workers equal those of a serial loop, whatever the database, the workers and the shard size."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import added, serial_counts

#: From a shard that holds less than a record to one that holds everything.
SHARD_SIZES = (1_000, 7_919, 64 * 1024, 64 * 1024 * 1024)


@pytest.fixture
def corpus_file(tmp_path: Path, sample_texts: list[str]) -> Path:
    """Write sample texts as JSON Lines."""
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in sample_texts))
    return path


@pytest.mark.parametrize("concurrency", [1, 2, 4])
def test_counts_equal_the_serial_loop_in_any_shard_size(
    deployment: Deployment, corpus_file: Path, sample_texts: list[str], concurrency: int
) -> None:
    expected = serial_counts(sample_texts)
    with deployment.workers(concurrency):
        for shard_bytes in SHARD_SIZES:
            corpus = f"shards of {shard_bytes}"
            (view,) = deployment.wait(deployment.submit([corpus_file], corpus, shard_bytes=shard_bytes))
            assert view["state"] == "DONE"
            assert view["documents"] == len(sample_texts)
            assert view["tokens"] == sum(count for count, _ in expected.values())
            assert_adds_up(view)
            assert deployment.counts(corpus) == expected


def test_a_second_job_computes_nothing_and_a_grown_corpus_only_what_is_new(
    deployment: Deployment, tmp_path: Path, sample_texts: list[str]
) -> None:
    first, second = sample_texts[:40], sample_texts[40:60]
    _write(tmp_path / "in" / "a.jsonl", first)
    with deployment.workers(2):
        deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=4_000))
        (again,) = deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=4_000))
        assert again["reused"] == again["shards"] > 1
        assert deployment.counts() == serial_counts(first)

        _write(tmp_path / "in" / "b.jsonl", second)
        (grown,) = deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=4_000))
        assert grown["reused"] == again["shards"] < grown["shards"]
        assert deployment.counts() == serial_counts(first + second)

        _write(tmp_path / "in" / "a.jsonl", second)
        (changed,) = deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=4_000))
        assert deployment.counts() == added(serial_counts(second), serial_counts(second)), "equal files count twice"
        assert_adds_up(changed)

        (tmp_path / "in" / "b.jsonl").unlink()
        deployment.wait(deployment.submit([tmp_path / "in"], shard_bytes=4_000))
        assert deployment.counts() == serial_counts(second)


def test_another_text_field_or_option_counts_anew(deployment: Deployment, tmp_path: Path) -> None:
    path = tmp_path / "two.jsonl"
    path.write_text(
        json.dumps({"text": "我来到北京清华大学", "title": "他来到了网易杭研大厦"}, ensure_ascii=False) + "\n"
    )
    from storage.sources import ListingOptions  # noqa: PLC0415 - only here

    with deployment.workers(1):
        deployment.wait(deployment.submit([path]))
        assert deployment.counts() == serial_counts(["我来到北京清华大学"])
        (view,) = deployment.wait(deployment.submit([path], listing=ListingOptions(text_field="title")))
        assert view["reused"] == 0
        assert deployment.counts() == serial_counts(["他来到了网易杭研大厦"])
        (view,) = deployment.wait(
            deployment.submit([path], listing=ListingOptions(text_field="title"), options={"hmm": False})
        )
        assert view["reused"] == 0
        assert deployment.counts() == serial_counts(["他来到了网易杭研大厦"], hmm=False)


def test_pause_cancel_and_retry_in_the_middle_leave_exact_counts(
    deployment: Deployment, corpus_file: Path, sample_texts: list[str], until: Callable[[Callable[[], bool], str], None]
) -> None:
    from storage import job_ledger  # noqa: PLC0415 - only here
    from storage.engine import transact  # noqa: PLC0415

    expected = serial_counts(sample_texts)
    generator = random.Random(7)
    with deployment.workers(2):
        submitted = deployment.submit([corpus_file], shard_bytes=2_000)
        job_id = submitted.jobs[0].id
        engine = deployment.parts.engine

        def running_past(done: int) -> None:
            until(lambda: deployment.view(job_id)["shards_done"] >= done, f"{done} shards are done")

        running_past(generator.randint(1, 5))
        assert transact(engine, lambda connection: job_ledger.pause(connection, job_id))
        until(lambda: deployment.view(job_id)["shards_running"] == 0, "what was leased has ended")
        paused_at = deployment.view(job_id)["shards_done"]
        deployment.reconcile()
        assert deployment.view(job_id)["shards_done"] == paused_at < deployment.view(job_id)["shards"]
        assert transact(engine, lambda connection: job_ledger.resume(connection, job_id))
        deployment.reconcile()
        running_past(paused_at + 2)
        assert transact(engine, lambda connection: job_ledger.cancel(connection, job_id))
        assert transact(engine, lambda connection: job_ledger.retry(connection, job_id))
        deployment.reconcile()
        (view,) = deployment.wait(submitted)
    assert view["state"] == "DONE"
    assert_adds_up(view)
    assert deployment.counts() == expected


def _write(path: Path, texts: list[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
