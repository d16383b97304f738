"""Word counts of a corpus, by generation: a merge writes a new one, readers see the last that was published."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from itertools import count, repeat
from operator import add

from sqlalchemy import Connection, delete, insert, select, update

from storage import fault_points
from storage.engine import load_rows, now
from storage.schema import generations, jobs, word_counts


def make_generation(connection: Connection, corpus_id: int, fingerprint: str, job_id: int, digest: bytes) -> int:
    """Return the id of a new generation that no reader sees yet."""
    values = {"corpus_id": corpus_id, "fingerprint": fingerprint, "job_id": job_id, "digest": digest}
    (generation_id,) = connection.execute(insert(generations).values(**values)).inserted_primary_key or (0,)
    return int(generation_id)


def find_published(connection: Connection, corpus_id: int, fingerprint: str, digest: bytes) -> int | None:
    """Return a published generation that summed exactly this, if there is one."""
    statement = select(generations.c.id).where(
        generations.c.corpus_id == corpus_id,
        generations.c.fingerprint == fingerprint,
        generations.c.digest == digest,
        generations.c.published_at.is_not(None),
    )
    return connection.scalar(statement.order_by(generations.c.id.desc()).limit(1))


def publish(connection: Connection, generation_id: int, job_id: int) -> None:
    """Let readers see a generation, as the sum of a job."""
    values = {"published_at": now(), "job_id": job_id}
    connection.execute(update(generations).where(generations.c.id == generation_id).values(**values))
    fault_points.reach("generation.uncommitted")


def current_generation(
    connection: Connection, corpus_id: int, fingerprint: str | None = None, operation: str = "count"
) -> int | None:
    """Return the generation of an operation that readers see (of a fingerprint, or its first digits, if named).

    It is that of the job which was planned last: an older job that ends later has seen less of the corpus.
    """
    statement = (
        select(generations.c.id)
        .join(jobs, jobs.c.id == generations.c.job_id)
        .where(generations.c.corpus_id == corpus_id, generations.c.published_at.is_not(None))
        .where(jobs.c.operation == operation)
        .order_by(jobs.c.sealed_at.desc(), generations.c.published_at.desc(), generations.c.id.desc())
        .limit(1)
    )
    if fingerprint is not None:
        statement = statement.where(generations.c.fingerprint.startswith(fingerprint, autoescape=True))
    return connection.scalar(statement)


def replace_partition(
    connection: Connection, generation_id: int, partition: int, rows: Iterable[tuple[str, int, int]]
) -> None:
    """Write one partition of a generation, (word, count, documents) a row, in place of what stands there."""
    connection.execute(
        delete(word_counts).where(word_counts.c.generation_id == generation_id, word_counts.c.partition == partition)
    )
    fault_points.reach("partition.deleted")
    columns = ["generation_id", "partition", "position", "word", "count", "documents"]
    # No step of Python's own for a row: a large corpus has a million.
    numbered = map(add, zip(repeat(generation_id), repeat(partition), count()), rows)
    load_rows(connection, word_counts, columns, numbered)


def by_count(connection: Connection, generation_id: int) -> Generator[tuple[str, int, int]]:
    """Yield (word, count, documents), the most frequent first, equal counts in code point order."""
    statement = (
        select(word_counts.c.word, word_counts.c.count, word_counts.c.documents)
        .where(word_counts.c.generation_id == generation_id)
        .order_by(word_counts.c.count.desc(), word_counts.c.word)
    )
    # Closed when the reader stops early too: on PostgreSQL it is a cursor on the server.
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from rows
