"""What a report reads of a corpus beside its word counts: labels, summaries, dead letters, how its jobs ran.

Reads rows and sums only; what is drawn of them is not decided here. A document is the record that its key has now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Subquery, select
from sqlalchemy.sql import func

from storage.documents import ranked_records
from storage.engine import AnyRow
from storage.figure_tables import corpus_months, word_counts_by_month
from storage.schema import (
    attempts,
    dead_letters,
    document_labels,
    generations,
    jobs,
    label_scores,
    labels,
    shards,
    sources,
    summaries,
    word_counts,
)
from storage.states import ShardState


class SourceTotals(NamedTuple):
    """How many sources a corpus has, and their bytes as they are stored."""

    sources: int
    source_bytes: int


class SampleSummary(NamedTuple):
    """A summary with the key of its document; `spans` are places in the text, in characters."""

    key: str
    summary: str
    spans: list[list[int]]


class ShardTime(NamedTuple):
    """When a shard was leased for the attempt that finished it, when it ended, and the documents that it read."""

    leased_at: float
    finished_at: float
    documents: int


class CountingJob(NamedTuple):
    """The job whose word counts a generation holds."""

    job_id: int
    fingerprint: str
    parameters: dict[str, Any]


def freeze(connection: Connection) -> None:
    """Let everything that is read from now on stand as it is now, while workers go on; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def source_totals(connection: Connection, corpus_id: int) -> SourceTotals:
    """Return how much a corpus reads from."""
    statement = select(func.count(), func.coalesce(func.sum(sources.c.size), 0)).where(sources.c.corpus_id == corpus_id)
    number, size_bytes = connection.execute(statement).one()
    return SourceTotals(int(number), int(size_bytes))


def count_documents(connection: Connection, corpus_id: int) -> int:
    """Return how many documents of a corpus have rows: counting files makes none."""
    return _count(connection, _documents(corpus_id))


def _documents(corpus_id: int) -> Subquery:
    ranked = ranked_records(corpus_id).subquery()
    return select(ranked.c.key, ranked.c.sha256).where(ranked.c.rank == 1).subquery()


def _count(connection: Connection, rows: Subquery) -> int:
    return connection.scalar(select(func.count()).select_from(rows)) or 0


def counting_job(connection: Connection, generation_id: int) -> CountingJob:
    """Return the job of a generation of word counts."""
    statement = (
        select(jobs.c.id, jobs.c.fingerprint, jobs.c.parameters)
        .join(generations, generations.c.job_id == jobs.c.id)
        .where(generations.c.id == generation_id)
    )
    row = connection.execute(statement).one()
    return CountingJob(row.id, row.fingerprint, json.loads(row.parameters))


def frequency_spectrum(connection: Connection, generation_id: int) -> list[tuple[int, int]]:
    """Return (count, how many words have it), the largest count first.

    It has few rows even where there are millions of words, and says which count stands at which rank.
    """
    statement = (
        select(word_counts.c.count, func.count())
        .where(word_counts.c.generation_id == generation_id)
        .group_by(word_counts.c.count)
        .order_by(word_counts.c.count.desc())
    )
    return [(int(count), int(words)) for count, words in connection.execute(statement)]


def growth_by_month(connection: Connection, generation_id: int) -> list[tuple[int, int]]:
    """Return (tokens, distinct words), both cumulative, after each month that has documents; undated ones come first.

    Nothing for a corpus without dates. Unlike the growth by shards it does not depend on how the corpus was cut.
    """
    by_month = word_counts_by_month.c
    firsts = (
        select(func.min(by_month.month).label("month"))
        .where(by_month.generation_id == generation_id)
        .group_by(by_month.partition, by_month.position)
        .subquery()
    )
    in_month = select(firsts.c.month, func.count()).group_by(firsts.c.month)
    new_words: dict[int, int] = {month: int(words) for month, words in connection.execute(in_month)}
    statement = (
        select(corpus_months.c.month, corpus_months.c.tokens)
        .where(corpus_months.c.generation_id == generation_id)
        .order_by(corpus_months.c.month)
    )
    points: list[tuple[int, int]] = []
    tokens = words = 0
    for month, month_tokens in connection.execute(statement) if new_words else ():
        tokens, words = tokens + int(month_tokens), words + new_words.get(month, 0)
        points.append((tokens, words))
    return points


def labelled_documents(connection: Connection, corpus_id: int, fingerprint: str) -> int:
    """Return how many documents of a corpus have scores, whether a label was decided or not."""
    wanted = _documents(corpus_id)
    scored = (label_scores.c.sha256 == wanted.c.sha256) & (label_scores.c.fingerprint == fingerprint)
    return _count(connection, select(wanted.c.key).join(label_scores, scored).subquery())


def label_counts(connection: Connection, corpus_id: int, fingerprint: str) -> list[tuple[str, int]]:
    """Return (label, how many documents of a corpus have it), the most frequent first."""
    wanted = _documents(corpus_id)
    number = func.count()
    statement = (
        select(labels.c.name, number)
        .select_from(wanted)
        .join(document_labels, _has_label(wanted, document_labels, fingerprint))
        .join(labels, labels.c.id == document_labels.c.label_id)
        .group_by(labels.c.id, labels.c.name)
        .order_by(number.desc(), labels.c.name)
    )
    return [(str(name), int(found)) for name, found in connection.execute(statement)]


def _has_label(wanted: Subquery, decided: Any, fingerprint: str) -> Any:
    return (decided.c.sha256 == wanted.c.sha256) & (decided.c.fingerprint == fingerprint)


def label_pairs(
    connection: Connection, corpus_id: int, fingerprint: str, names: Sequence[str]
) -> list[tuple[str, str, int]]:
    """Return (label, label, how many documents have both) of some labels; pairs without any are left out."""
    wanted = _documents(corpus_id)
    one, other = document_labels.alias("one"), document_labels.alias("other")
    name, other_name = labels.alias("name"), labels.alias("other_name")
    statement = (
        select(name.c.name, other_name.c.name, func.count())
        .select_from(wanted)
        .join(one, _has_label(wanted, one, fingerprint))
        .join(other, _has_label(wanted, other, fingerprint) & (other.c.label_id > one.c.label_id))
        .join(name, name.c.id == one.c.label_id)
        .join(other_name, other_name.c.id == other.c.label_id)
        .where(name.c.name.in_(names), other_name.c.name.in_(names))
        .group_by(name.c.name, other_name.c.name)
        .order_by(name.c.name, other_name.c.name)
    )
    return [(str(first), str(second), int(found)) for first, second, found in connection.execute(statement)]


def summarized_documents(connection: Connection, corpus_id: int, fingerprint: str) -> int:
    """Return how many documents of a corpus have a summary."""
    wanted = _documents(corpus_id)
    made = (summaries.c.sha256 == wanted.c.sha256) & (summaries.c.fingerprint == fingerprint)
    return _count(connection, select(wanted.c.key).join(summaries, made).subquery())


def sample_summaries(connection: Connection, corpus_id: int, fingerprint: str, limit: int) -> list[SampleSummary]:
    """Return some summaries, drawn by the digests of their texts: at random, and the same ones every time."""
    wanted = _documents(corpus_id)
    statement = (
        select(wanted.c.key, summaries.c.summary, summaries.c.spans)
        .join(summaries, (summaries.c.sha256 == wanted.c.sha256) & (summaries.c.fingerprint == fingerprint))
        .order_by(wanted.c.sha256, wanted.c.key)
        .limit(limit)
    )
    return [SampleSummary(row.key, row.summary, json.loads(row.spans)) for row in connection.execute(statement)]


def letters_by_reason(connection: Connection, corpus_id: int) -> list[tuple[str, int]]:
    """Return (reason, how many dead letters of a corpus's jobs stand for it), the most frequent first."""
    number = func.count()
    statement = (
        select(dead_letters.c.reason, number)
        .join(jobs, jobs.c.id == dead_letters.c.job_id)
        .where(jobs.c.corpus_id == corpus_id, dead_letters.c.state == "standing")
        .group_by(dead_letters.c.reason)
        .order_by(number.desc(), dead_letters.c.reason)
    )
    return [(str(reason), int(found)) for reason, found in connection.execute(statement)]


def first_letters(connection: Connection, corpus_id: int, limit: int) -> Sequence[AnyRow]:
    """Return standing dead letters of a corpus's jobs in the order of their places, with the job's operation."""
    letters = dead_letters.c
    statement = (
        select(letters.job_id, jobs.c.operation, letters.reason, letters.source, letters.line, letters.offset)
        .add_columns(letters.key, letters.detail, letters.attempts)
        .join(jobs, jobs.c.id == letters.job_id)
        .where(jobs.c.corpus_id == corpus_id, letters.state == "standing")
        .order_by(letters.job_id, letters.source, letters.offset, letters.id)
        .limit(limit)
    )
    return connection.execute(statement).all()


def newest_job_ids(connection: Connection, corpus_id: int) -> list[int]:
    """Return the newest job of each operation over a corpus that was ever asked for, in order of their ids."""
    statement = select(func.max(jobs.c.id)).where(jobs.c.corpus_id == corpus_id).group_by(jobs.c.operation)
    return sorted(int(job_id) for job_id in connection.scalars(statement))


def shard_times(connection: Connection, job_id: int) -> Iterator[ShardTime]:
    """Yield when the shards of a job ran that read documents; those whose result another job had are left out."""
    statement = select(shards.c.leased_at, shards.c.finished_at, shards.c.documents_in).where(
        shards.c.job_id == job_id,
        shards.c.kind == "map",
        shards.c.state == ShardState.DONE,
        shards.c.origin_id.is_(None),
        shards.c.leased_at.is_not(None),
        shards.c.finished_at.is_not(None),
    )
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        for row in rows:
            yield ShardTime(float(row.leased_at), float(row.finished_at), int(row.documents_in))


def attempts_by_outcome(connection: Connection, job_id: int) -> list[tuple[str | None, int]]:
    """Return (outcome, how many attempts ended so) of a job; the outcome of those that still run is null."""
    statement = (
        select(attempts.c.outcome, func.count())
        .where(attempts.c.job_id == job_id)
        .group_by(attempts.c.outcome)
        .order_by(attempts.c.outcome)
    )
    return [(outcome, int(found)) for outcome, found in connection.execute(statement)]
