"""What the results of single documents have in common: which texts have one, and which model made them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Column, Connection, Table, select
from sqlalchemy.sql import func

from storage.documents import ranked_records
from storage.schema import documents, jobs
from storage.states import COMPLETE_JOB_STATES

#: Texts looked up by one statement.
CHUNK = 500


def known_texts(connection: Connection, table: Table, fingerprint: str, digests: Sequence[bytes]) -> set[bytes]:
    """Return which texts have a row in a table of results under a fingerprint."""
    found: set[bytes] = set()
    for start in range(0, len(digests), CHUNK):
        statement = select(table.c.sha256).where(
            table.c.sha256.in_(digests[start : start + CHUNK]), table.c.fingerprint == fingerprint
        )
        found.update(connection.scalars(statement))
    return found


def by_key(connection: Connection, result: Column[str], corpus_id: int, fingerprint: str) -> Iterator[tuple[str, Any]]:
    """Yield (key, value) of every document of a corpus that has a result, which is JSON, in order of keys."""
    table = result.table
    ranked = ranked_records(corpus_id).subquery()
    statement = (
        select(ranked.c.key, result)
        .join(table, (table.c.sha256 == ranked.c.sha256) & (table.c.fingerprint == fingerprint))
        .where(ranked.c.rank == 1)
        .order_by(ranked.c.key)
    )
    with connection.execute(statement.execution_options(yield_per=1000)) as rows:
        for key, value in rows:
            yield key, json.loads(value)


def model_of(connection: Connection, table: Table, corpus_id: int, fingerprint: str) -> str | None:
    """Return the digest of the model that made a corpus's results of a fingerprint; None when it has none.

    One row says it for all, because the model is a part of the fingerprint.
    """
    statement = (
        select(table.c.model)
        .join(documents, (documents.c.sha256 == table.c.sha256) & (table.c.fingerprint == fingerprint))
        .where(documents.c.corpus_id == corpus_id)
        .limit(1)
    )
    return connection.scalar(statement)


def complete_fingerprints(connection: Connection, corpus_id: int, operation: str) -> dict[str, dict[str, Any]]:
    """Return the fingerprints of an operation's finished jobs over a corpus with their parameters.

    That of the newest job comes first.
    """
    statement = (
        # Jobs of one fingerprint have the same parameters.
        select(jobs.c.fingerprint, func.max(jobs.c.parameters).label("parameters"))
        .where(jobs.c.corpus_id == corpus_id, jobs.c.operation == operation, jobs.c.state.in_(COMPLETE_JOB_STATES))
        .group_by(jobs.c.fingerprint)
        .order_by(func.max(jobs.c.finished_at).desc(), func.max(jobs.c.id).desc())
    )
    return {row.fingerprint: json.loads(row.parameters) for row in connection.execute(statement)}
