"""Partial counts: what the map of a shard left behind, under the digest of its content. Never changed, only added."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Engine, select

from storage.engine import AnyRow, insert_new, reading
from storage.schema import partial_counts, shards
from storage.states import ShardState

#: Shards whose partial counts are looked up by one statement.
CHUNK = 200


class Known(NamedTuple):
    """What is known of a content that was counted before."""

    partitions: int
    documents: int
    dead: int
    tokens: int


def find(connection: Connection, digest: bytes, fingerprint: str) -> Known | None:
    """Return the figures of a content's partial counts, or None when it was never counted so."""
    statement = (
        select(partial_counts.c.partitions, partial_counts.c.documents, partial_counts.c.dead, partial_counts.c.tokens)
        .where(partial_counts.c.digest == digest, partial_counts.c.fingerprint == fingerprint)
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else Known(*row)


def save(connection: Connection, digest: bytes, fingerprint: str, blobs: Sequence[bytes], known: Known) -> None:
    """Store one blob a partition; a content that is there already stays as it is, for it is the same."""
    rows = [
        {
            "digest": digest,
            "fingerprint": fingerprint,
            "partition": partition,
            **known._asdict(),
            "data": blob,
        }
        for partition, blob in enumerate(blobs)
    ]
    insert_new(connection, partial_counts, rows)


def done_shards(connection: Connection, job_id: int) -> Iterator[AnyRow]:
    """Yield (id, digest, partitions, tokens) of every shard whose counts belong to a job's sum, in order."""
    statement = (
        select(shards.c.id, shards.c.digest, shards.c.partitions, shards.c.tokens)
        .where(shards.c.job_id == job_id, shards.c.kind == "map", shards.c.state == ShardState.DONE)
        .order_by(shards.c.id)
    )
    yield from connection.execute(statement.execution_options(yield_per=1000))


def load(engine: Engine, fingerprint: str, digest: bytes, partitions: int, wanted: Sequence[int]) -> list[bytes]:
    """Return the blobs of some partitions of one content.

    Raises `LookupError` when one is missing: somebody deleted it by hand, and the job must not sum without it.
    """
    statement = (
        select(partial_counts.c.partition, partial_counts.c.data)
        .where(
            partial_counts.c.digest == digest,
            partial_counts.c.fingerprint == fingerprint,
            partial_counts.c.partitions == partitions,
            partial_counts.c.partition.in_(wanted),
        )
        .order_by(partial_counts.c.partition)
    )
    with reading(engine) as connection:
        blobs = [row.data for row in connection.execute(statement)]
    if len(blobs) != len(wanted):
        message = f"partial counts {digest.hex()} of fingerprint {fingerprint} are not complete"
        raise LookupError(message)
    return blobs
