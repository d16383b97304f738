"""The keywords of documents, keyed by text and fingerprint."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from storage import document_results
from storage.bulk import write_new
from storage.schema import keywords

#: The columns of the table, as they are written.
COLUMNS = ("sha256", "fingerprint", "keywords")


def known(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> set[bytes]:
    """Return which texts have keywords under a fingerprint, were it an empty list."""
    return document_results.known_texts(connection, keywords, fingerprint, digests)


def save(connection: Connection, fingerprint: str, found: Mapping[bytes, Sequence[tuple[str, float]]]) -> None:
    """Store the (word, weight) of texts by their digests; what is there already is the same."""
    # In one order, so that two workers who write the same texts do not wait for each other in a circle.
    rows = [(digest, fingerprint, _keywords_json(weighed)) for digest, weighed in sorted(found.items())]
    write_new(connection, keywords, COLUMNS, rows)


def _keywords_json(weighed: Sequence[tuple[str, float]]) -> str:
    # A weight is written with all its digits: what is read is the very number that was computed.
    made = [{"word": word, "weight": weight} for word, weight in weighed]
    return json.dumps(made, ensure_ascii=False, separators=(",", ":"))


def find(connection: Connection, sha256: bytes, fingerprint: str) -> list[dict[str, Any]] | None:
    """Return [{word, weight}] of a text, the weightiest first; None when it has none of a fingerprint."""
    statement = select(keywords.c.keywords).where(keywords.c.sha256 == sha256, keywords.c.fingerprint == fingerprint)
    found = connection.scalar(statement)
    return None if found is None else list(json.loads(found))


def find_all(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, list[dict[str, Any]]]:
    """Return {digest: [{word, weight}]} of those of some texts that have keywords."""
    found: dict[bytes, list[dict[str, Any]]] = {}
    for start in range(0, len(digests), document_results.CHUNK):
        statement = select(keywords.c.sha256, keywords.c.keywords).where(
            keywords.c.sha256.in_(digests[start : start + document_results.CHUNK]),
            keywords.c.fingerprint == fingerprint,
        )
        found.update((bytes(digest), json.loads(text)) for digest, text in connection.execute(statement))
    return found


def export_rows(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[dict[str, Any]]:
    """Yield {key, keywords} of every document of a corpus that has them, in order of keys."""
    for key, words in document_results.by_key(connection, keywords.c.keywords, corpus_id, fingerprint):
        yield {"key": key, "keywords": words}
