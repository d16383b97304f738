"""The tokens of documents, keyed by text and fingerprint, so that a text is cut once however often it occurs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from storage import document_results
from storage.bulk import write_new
from storage.schema import tokens

#: Texts looked up by one statement.
CHUNK = 500
#: The columns of the table, as they are written.
COLUMNS = ("sha256", "fingerprint", "count", "tokens")


def known(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> dict[bytes, int]:
    """Return the number of tokens of every text that has been cut under a fingerprint."""
    found: dict[bytes, int] = {}
    for start in range(0, len(digests), CHUNK):
        statement = select(tokens.c.sha256, tokens.c.count).where(
            tokens.c.sha256.in_(digests[start : start + CHUNK]), tokens.c.fingerprint == fingerprint
        )
        found.update((digest, count) for digest, count in connection.execute(statement))
    return found


def save(connection: Connection, fingerprint: str, cut: Mapping[bytes, Sequence[str]]) -> None:
    """Store the tokens of texts; what is there already is the same."""
    # In one order, so that two workers who write the same texts do not wait for each other in a circle.
    rows = [(digest, fingerprint, len(words), _words_json(words)) for digest, words in sorted(cut.items())]
    write_new(connection, tokens, COLUMNS, rows)


def _words_json(words: Sequence[str]) -> str:
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"))


def export_rows(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[dict[str, Any]]:
    """Yield {key, tokens} of every document of a corpus that has them, in order of keys."""
    for key, words in document_results.by_key(connection, tokens.c.tokens, corpus_id, fingerprint):
        yield {"key": key, "tokens": words}
