"""What a shard is to a person: its corpus, its operation, its attempts and the place that it reads. Changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.sql import func

from storage.engine import reading
from storage.errors import TransientError
from storage.schema import attempts, corpora, jobs, shards, sources

#: Seconds by which the clock of a worker may be ahead of, or behind, that of the database.
CLOCKS_APART_S = 1.0


@dataclass(frozen=True, slots=True)
class ShardName:
    """What of a shard never changes."""

    shard_id: int
    job_id: int
    corpus: str
    operation: str
    #: Of a merge, from 0; None for a shard that is read.
    partition: int | None


def find_name(engine: Engine, shard_id: int) -> ShardName | None:
    """Return what a shard is called, None where it is gone; raises `TransientError` when the database is away."""
    statement = (
        select(shards.c.id, shards.c.job_id, corpora.c.name, jobs.c.operation, shards.c.partition)
        .join(jobs, jobs.c.id == shards.c.job_id)
        .join(corpora, corpora.c.id == jobs.c.corpus_id)
        .where(shards.c.id == shard_id)
    )
    row = _first(engine, statement)
    return ShardName(*row) if row is not None else None


def attempt_at(engine: Engine, shard_id: int, instant: float) -> int | None:
    """Return the number of the newest attempt that had begun at an instant by a worker's clock.

    Raises `TransientError` when the database is away.
    """
    statement = select(func.max(attempts.c.number)).where(
        attempts.c.shard_id == shard_id, attempts.c.started_at <= instant + CLOCKS_APART_S
    )
    row = _first(engine, statement)
    return row[0] if row is not None else None


def _first(engine: Engine, statement: Any) -> Any:
    try:
        with reading(engine) as connection:
            return connection.execute(statement).first()
    except SQLAlchemyError as error:
        # Whatever it is, a person can do without these names.
        message = f"the ledger could not be asked: {type(error).__name__}"
        raise TransientError(message) from error


def place_of(connection: Connection, pieces: Mapping[str, Any] | None) -> str:
    """Return what a shard reads: `news.jsonl, 4,096 bytes from byte 0`; empty for a merge."""
    files = (pieces or {}).get("files", ())
    documents = (pieces or {}).get("documents", ())
    if files:
        source_id, offset, length, _ = files[0]
        uri = connection.scalar(select(sources.c.uri).where(sources.c.id == source_id)) or f"source {source_id}"
        if len(files) > 1:
            return f"{uri} and {len(files) - 1:,} more"
        # A source that cannot be cut (a compressed one) is read as a whole, or from a place to its end.
        stretch = "all" if length < 0 and not offset else "the rest" if length < 0 else f"{length:,} bytes"
        return f"{uri}, {stretch}" + (f" from byte {offset:,}" if offset or length >= 0 else "")
    if documents:
        return f"{len(documents):,} enqueued documents from number {documents[0]}"
    return ""
