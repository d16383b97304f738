"""Transactions are committed, their answers are lost, and they run again: what runs twice leaves what once leaves."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select

from storage import ledger
from storage.engine import reading, transact
from storage.planning import plan_job
from storage.schema import attempts, documents, shards, sources
from tests.support.builders import LEASE_S, call, make_job, shard, shard_ids
from tests.support.deployment import ENDED
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import CORPUS, counts_of, open_mill, tokens_of, view_of, write_texts
from tests.support.reference import serial_counts, serial_tokens
from workers.producer import ingest

TEXTS = [f"{number} 北京的天气很好,我们去公园散步。" for number in range(12)]
#: Rounds after which a job counts as stuck.
ROUNDS = 50


@pytest.fixture(params=[1, 2])
def lost_answers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have half of all connections break after their commit."""
    import workers.run_batch  # noqa: F401, PLC0415 - so that it is there to be changed

    chance = random.Random(request.param)

    def answer_lost(engine: Engine, work: Callable[[Connection], Any]) -> Any:
        result = transact(engine, work)
        return transact(engine, work) if chance.random() < 0.5 else result

    for name, module in list(sys.modules.items()):
        if name.startswith(("storage.", "workers.")) and getattr(module, "transact", None) is transact:
            monkeypatch.setattr(module, "transact", answer_lost)


def work_to_the_end(mill: InlineMill, job_ids: list[int]) -> None:
    """Work until the jobs have ended; what was queued and not published is found as after a flush."""
    for _ in range(ROUNDS):
        mill.work(*job_ids)
        if all(view_of(mill, job_id)["state"] in ENDED for job_id in job_ids):
            return
        call(mill.parts.engine, ledger.unqueue_all)
    pytest.fail(f"in {ROUNDS} rounds the jobs did not end: {[view_of(mill, job_id) for job_id in job_ids]}")


def count(engine: Engine, table: Any) -> int:
    with reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(table)) or 0


def test_files_are_counted_and_cut_once(home: Path, database_url: str, tmp_path: Path, lost_answers: None) -> None:
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    with open_mill(home, database_url) as mill:
        submitted = mill.submit([path], CORPUS, "count", "tokenize", shard_bytes=300)
        counting, cutting = (job.id for job in submitted.jobs)
        work_to_the_end(mill, [counting, cutting])
        assert count(mill.parts.engine, sources) == 1
        assert counts_of(mill) == serial_counts(TEXTS)
        assert sorted(tokens_of(mill, cutting)) == sorted(serial_tokens(TEXTS))
        assert view_of(mill, counting)["documents"] == len(TEXTS)


def test_enqueued_documents_are_counted_once(home: Path, database_url: str, lost_answers: None) -> None:
    given = [{"key": str(number), "text": text} for number, text in enumerate(TEXTS)]
    with open_mill(home, database_url, seal_after_s=0.01, shard_bytes=300) as mill:
        ingest(mill.parts, mill, CORPUS, given, ["count"], {})
        with reading(mill.parts.engine) as connection:
            (job_id,) = set(connection.scalars(select(shards.c.job_id)))
        plan_job(mill.parts.engine, job_id)
        work_to_the_end(mill, [job_id])
        assert count(mill.parts.engine, documents) == len(TEXTS)
        assert counts_of(mill) == serial_counts(TEXTS)


def test_a_lease_whose_answer_was_lost_is_still_the_workers(engine: Engine) -> None:
    (shard_id,) = shard_ids(engine, make_job(engine, 1))
    token = ledger.new_token()
    first = call(engine, ledger.lease, shard_id, "w/1/1", LEASE_S, token)
    assert first is not None
    assert call(engine, ledger.lease, shard_id, "w/1/1", LEASE_S, token) == first
    assert call(engine, ledger.lease, shard_id, "w/1/2", LEASE_S, ledger.new_token()) is None
    assert shard(engine, shard_id).attempts == count(engine, attempts) == 1
