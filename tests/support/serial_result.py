"""Compares all that a deployment holds of a corpus with what a serial loop makes of the same texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.sql import func

from storage import corpus_figures, jobs
from storage.corpora import corpus_id_of
from storage.engine import Engine, reading
from storage.schema import shards
from storage.states import ShardState
from storage.tokens import export_rows
from storage.word_counts import current_generation
from tasks.text.jieba_engine import import_jieba
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.reference import Counts, serial_counts


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
            serial = serial_counts(texts)
            assert deployment.counts(corpus) == serial
            assert_figures(deployment.parts.engine, corpus, texts, serial)
        if view["operation"] == "tokenize":
            assert token_lists(deployment.parts.engine, view["id"]) == serial_token_lists(texts)


def assert_figures(engine: Engine, corpus: str, texts: Sequence[str], serial: Counts) -> None:
    """Check what a corpus without dates adds up to, how long its documents are, and where its vocabulary ends."""
    with reading(engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, corpus)) or 0
        totals = corpus_figures.totals(connection, generation)
        bins = corpus_figures.length_histogram(connection, generation)
        growth = corpus_figures.vocabulary_growth(connection, generation)
    tokens = sum(count for count, _ in serial.values())
    assert totals == (len(texts), tokens, len(serial), sum(map(len, texts)), len(texts))
    for found in bins:
        assert found.documents == sum(found.from_chars <= len(text) <= found.to_chars for text in texts)
    assert sum(found.documents for found in bins) == len(texts)
    assert growth == sorted(growth)
    assert growth[-1] == (tokens, len(serial))


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
