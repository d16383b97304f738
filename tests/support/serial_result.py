"""Compares all that a deployment holds of a corpus with what a serial loop makes of the same texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql import func

from storage import jobs
from storage.engine import Engine, reading
from storage.schema import shards
from storage.states import ShardState
from storage.tokens import export_rows
from tasks.text.jieba_engine import import_jieba
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import serial_counts


def assert_equals_serial(
    deployment: Deployment, views: Sequence[Mapping[str, Any]], texts: Sequence[str], corpus: str = "news"
) -> None:
    """Check jobs that have ended: counts, frequencies and tokens are exact, no row is there twice, no shard is open."""
    for view in views:
        assert view["state"] == "DONE", view
        assert view["dead"] == 0, view
        assert_adds_up(view)
        assert open_shards(deployment.parts.engine, view["id"]) == 0
        if view["operation"] == "count":
            assert view["documents"] == len(texts), view
            assert deployment.counts(corpus) == serial_counts(texts)
        if view["operation"] == "tokenize":
            assert token_lists(deployment.parts.engine, view["id"]) == serial_token_lists(texts)


def open_shards(engine: Engine, job_id: int) -> int:
    """Return how many shards of a job have not ended."""
    ended = [ShardState.DONE, ShardState.DEAD, ShardState.SPLIT]
    statement = select(func.count()).select_from(shards).where(shards.c.job_id == job_id, shards.c.state.not_in(ended))
    with reading(engine) as connection:
        return connection.scalar(statement) or 0


def token_lists(engine: Engine, job_id: int) -> Counter[tuple[str, ...]]:
    """Return how often an export of a job writes each list of tokens."""
    with reading(engine) as connection:
        row = jobs.get(connection, job_id)
        rows = list(export_rows(connection, row.corpus_id, row.fingerprint))
    keys = [exported["key"] for exported in rows]
    assert len(keys) == len(set(keys)), "a document has its tokens twice"
    return Counter(tuple(exported["tokens"]) for exported in rows)


def serial_token_lists(texts: Sequence[str]) -> Counter[tuple[str, ...]]:
    """Return the same by plain jieba."""
    jieba = import_jieba()
    return Counter(tuple(jieba.lcut(text)) for text in texts)
