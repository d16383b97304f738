"""What the database holds of one job, read as it lies there, for who computes it again. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.sql import func

from storage.corpus_figures import LengthBin
from storage.engine import AnyRow
from storage.figure_tables import document_lengths, vocabulary_growth, word_counts_by_month
from storage.label_scores import SCORE_BYTES, unpack
from storage.schema import (
    batch_runs,
    dead_letters,
    document_labels,
    documents,
    generations,
    jobs,
    label_scores,
    labels,
    partial_counts,
    shards,
    sources,
    summaries,
    tokens,
    word_counts,
)
from storage.states import ShardState

#: Texts or keys looked up by one statement.
CHUNK = 500
#: What stands in no statement for every shard of a job at once.
ENDED = (ShardState.DONE, ShardState.DEAD)


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter by its place, and whether it was run again since."""

    source_id: int
    offset: int
    document_id: int
    reason: str
    is_replayed: bool


@dataclass(frozen=True, slots=True)
class StoredLabels:
    """What stands of one text's labels: all scores, and the probability of each decided label by its name."""

    scores: tuple[float, ...]
    decided: dict[str, float]


def shards_to_compute(connection: Connection, job_id: int) -> list[int]:
    """Return the ids of a job's shards whose documents have results, in order."""
    statement = select(shards.c.id).where(
        shards.c.job_id == job_id, shards.c.kind == "map", shards.c.state == ShardState.DONE
    )
    return list(connection.scalars(statement.order_by(shards.c.id)))


def get_shard(connection: Connection, shard_id: int) -> AnyRow:
    """Return a shard's row."""
    return connection.execute(select(shards).where(shards.c.id == shard_id)).one()


def letters_of(connection: Connection, shard: AnyRow) -> list[Letter]:
    """Return a shard's dead letters, and those of the shards it was taken over from that were run again since."""
    found = _letters(connection, shard.id)
    origin = shard.origin_id
    while origin is not None:
        found += [letter for letter in _letters(connection, origin) if letter.is_replayed]
        origin = connection.scalar(select(shards.c.origin_id).where(shards.c.id == origin))
    return found


def _letters(connection: Connection, shard_id: int) -> list[Letter]:
    place = (dead_letters.c.source_id, dead_letters.c.offset, dead_letters.c.document_id)
    statement = select(*place, dead_letters.c.reason, dead_letters.c.state == "replayed")
    return [Letter(*row) for row in connection.execute(statement.where(dead_letters.c.shard_id == shard_id))]


def partial_rows(connection: Connection, digest: bytes, fingerprint: str) -> list[AnyRow]:
    """Return all rows of one content's partial counts, whatever their partitions."""
    statement = (
        select(partial_counts)
        .where(partial_counts.c.digest == digest, partial_counts.c.fingerprint == fingerprint)
        .order_by(partial_counts.c.partitions, partial_counts.c.partition)
    )
    return list(connection.execute(statement))


def partitions_of_generation(connection: Connection, generation_id: int | None) -> int | None:
    """Return in how many partitions a generation of word counts was summed; None when it is there no more."""
    statement = (
        select(jobs.c.partitions)
        .join(generations, generations.c.job_id == jobs.c.id)
        .where(generations.c.id == generation_id)
    )
    found: int | None = connection.scalar(statement)
    return found


def counted_rows(connection: Connection, generation_id: int, partition: int) -> Iterator[tuple[str, int, int]]:
    """Yield (word, count, documents) of one partition as it was written."""
    statement = (
        select(word_counts.c.word, word_counts.c.count, word_counts.c.documents)
        .where(word_counts.c.generation_id == generation_id, word_counts.c.partition == partition)
        .order_by(word_counts.c.position)
    )
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from rows


def rows_of_generation(connection: Connection, generation_id: int) -> int:
    """Return how many rows a generation has, in every partition that there is."""
    return connection.scalar(select(func.count()).where(word_counts.c.generation_id == generation_id)) or 0


def month_rows(connection: Connection, generation_id: int, partition: int) -> Iterator[tuple[str, int, int, int]]:
    """Yield (word, month, count, documents) of one partition as it was written."""
    of_month = word_counts_by_month.c
    statement = (
        select(word_counts.c.word, of_month.month, of_month.count, of_month.documents)
        .join_from(
            word_counts_by_month,
            word_counts,
            (word_counts.c.generation_id == of_month.generation_id)
            & (word_counts.c.partition == of_month.partition)
            & (word_counts.c.position == of_month.position),
        )
        .where(of_month.generation_id == generation_id, of_month.partition == partition)
    )
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from rows


def length_rows(connection: Connection, generation_id: int) -> Iterator[tuple[int, LengthBin]]:
    """Yield (month, documents of some lengths) of a generation as they were written."""
    columns = document_lengths.c
    statement = select(columns.month, columns.from_chars, columns.to_chars, columns.documents)
    for month, *found in connection.execute(statement.where(columns.generation_id == generation_id)):
        yield month, LengthBin(*found)


def growth_rows(connection: Connection, generation_id: int, partition: int) -> list[tuple[int, int]]:
    """Return (tokens of all partitions, new words of this one) of each step of a generation, in order."""
    columns = vocabulary_growth.c
    statement = select(columns.tokens, columns.words).where(columns.generation_id == generation_id)
    rows = connection.execute(statement.where(columns.partition == partition).order_by(columns.step))
    return [(tokens, words) for tokens, words in rows]


def document_rows(
    connection: Connection, corpus_id: int, keys: Sequence[str]
) -> dict[tuple[int, str, int], tuple[int, bytes]]:
    """Return {(source, key, offset): (version of the source, digest of the text)} of documents by their keys."""
    columns = (documents.c.source_id, documents.c.key, documents.c.offset)
    found: dict[tuple[int, str, int], tuple[int, bytes]] = {}
    for start in range(0, len(keys), CHUNK):
        statement = select(*columns, documents.c.source_version, documents.c.sha256).where(
            documents.c.corpus_id == corpus_id, documents.c.key.in_(keys[start : start + CHUNK])
        )
        for source_id, key, offset, version, digest in connection.execute(statement):
            found[source_id, key, offset] = (version, bytes(digest))
    return found


def stored_tokens(
    connection: Connection, fingerprint: str, digests: Sequence[bytes]
) -> dict[bytes, tuple[int, list[str]]]:
    """Return {digest: (number, tokens)} of texts that were cut."""
    rows = _by_text(connection, tokens, (tokens.c.count, tokens.c.tokens), fingerprint, digests)
    return {bytes(digest): (count, json.loads(words)) for digest, count, words in rows}


def stored_summaries(
    connection: Connection, fingerprint: str, digests: Sequence[bytes]
) -> dict[bytes, tuple[str, list[list[int]]]]:
    """Return {digest: (summary, spans)} of texts that were summarized."""
    rows = _by_text(connection, summaries, (summaries.c.summary, summaries.c.spans), fingerprint, digests)
    return {bytes(digest): (summary, json.loads(spans)) for digest, summary, spans in rows}


def stored_labels(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, StoredLabels]:
    """Return {digest: labels} of texts that were scored."""
    rows = _by_text(connection, label_scores, (label_scores.c.scores,), fingerprint, digests)
    found = {bytes(digest): StoredLabels(_scores(bytes(packed)), {}) for digest, packed in rows}
    for start in range(0, len(digests), CHUNK):
        statement = (
            select(document_labels.c.sha256, labels.c.name, document_labels.c.score)
            .join(labels, labels.c.id == document_labels.c.label_id)
            .where(document_labels.c.sha256.in_(digests[start : start + CHUNK]))
            .where(document_labels.c.fingerprint == fingerprint)
        )
        for digest, name, score in connection.execute(statement):
            found.setdefault(bytes(digest), StoredLabels((), {})).decided[name] = score
    return found


def _scores(packed: bytes) -> tuple[float, ...]:
    # A blob that somebody cut off in the middle of a score has fewer of them, and so differs.
    return unpack(packed[: len(packed) - len(packed) % SCORE_BYTES])


def _by_text(
    connection: Connection, table: Any, columns: Sequence[Any], fingerprint: str, digests: Sequence[bytes]
) -> Iterator[AnyRow]:
    for start in range(0, len(digests), CHUNK):
        of_texts = table.c.sha256.in_(digests[start : start + CHUNK]) & (table.c.fingerprint == fingerprint)
        yield from connection.execute(select(table.c.sha256, *columns).where(of_texts))


def devices_of(connection: Connection, fingerprint: str) -> set[str]:
    """Return the devices that computed results of a fingerprint, as far as it is known: `cpu`, `cuda:0`."""
    return set(
        connection.scalars(select(batch_runs.c.device).where(batch_runs.c.fingerprint == fingerprint).distinct())
    )


def pieces_read(connection: Connection, job_id: int) -> Iterator[tuple[int, str, bool]]:
    """Yield (shard, pieces as JSON, whether a document in it counts) of every shard of a job that has ended."""
    statement = select(shards.c.id, shards.c.pieces, shards.c.documents_in > 0).where(
        shards.c.job_id == job_id, shards.c.kind == "map", shards.c.state.in_(ENDED)
    )
    for shard_id, pieces, counts in connection.execute(
        statement.order_by(shards.c.id).execution_options(yield_per=1000)
    ):
        yield shard_id, pieces or "{}", bool(counts)


def sources_of(connection: Connection, corpus_id: int, below_position: int) -> Iterator[AnyRow]:
    """Yield the sources of a corpus that a job was planned from, as they stand now."""
    statement = select(sources).where(sources.c.corpus_id == corpus_id, sources.c.position < below_position)
    yield from connection.execute(statement.order_by(sources.c.position).execution_options(yield_per=1000))
