"""The summaries of documents, keyed by text and fingerprint, with the places in the text that they were taken from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy import Connection, select

from storage import document_results
from storage.bulk import write_new
from storage.documents import ranked_records
from storage.schema import summaries

#: Where a stretch of the text begins and ends, in characters.
Span: TypeAlias = tuple[int, int]
#: The columns of the table, as they are written.
COLUMNS = ("sha256", "fingerprint", "model", "summary", "spans")


def known(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> set[bytes]:
    """Return which texts have been summarized under a fingerprint."""
    return document_results.known_texts(connection, summaries, fingerprint, digests)


def save(
    connection: Connection, fingerprint: str, model: str, made: Mapping[bytes, tuple[str, Sequence[Span]]]
) -> None:
    """Store (summary, spans) of texts by their digests; what is there already is the same.

    `model` is the digest of the model, in hex. A summary that is not of the text's own words has no spans.
    """
    # In one order, so that two workers who write the same texts do not wait for each other in a circle.
    rows = [
        (digest, fingerprint, model, summary, _spans_json(spans)) for digest, (summary, spans) in sorted(made.items())
    ]
    write_new(connection, summaries, COLUMNS, rows)


def _spans_json(spans: Sequence[Span]) -> str:
    return json.dumps([[int(start), int(end)] for start, end in spans], separators=(",", ":"))


def find(connection: Connection, sha256: bytes, fingerprint: str) -> dict[str, Any] | None:
    """Return {summary, model, spans} of a text, None when it has no summary of a fingerprint."""
    statement = select(summaries.c.summary, summaries.c.model, summaries.c.spans).where(
        summaries.c.sha256 == sha256, summaries.c.fingerprint == fingerprint
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else {"summary": row.summary, "model": row.model, "spans": json.loads(row.spans)}


def model_of(connection: Connection, corpus_id: int, fingerprint: str) -> str | None:
    """Return the digest of the model that made a corpus's summaries of a fingerprint."""
    return document_results.model_of(connection, summaries, corpus_id, fingerprint)


def export_rows(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[dict[str, Any]]:
    """Yield {key, summary, model, spans} of every document of a corpus that has one, in order of keys."""
    ranked = ranked_records(corpus_id).subquery()
    statement = (
        select(ranked.c.key, summaries.c.summary, summaries.c.model, summaries.c.spans)
        .join(summaries, (summaries.c.sha256 == ranked.c.sha256) & (summaries.c.fingerprint == fingerprint))
        .where(ranked.c.rank == 1)
        .order_by(ranked.c.key)
    )
    with connection.execute(statement.execution_options(yield_per=1000)) as rows:
        for row in rows:
            yield {"key": row.key, "summary": row.summary, "model": row.model, "spans": json.loads(row.spans)}
