"""One document as a person wants to see it: its row, its text read where it stands, its tokens. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from storage.documents import ranked_records, text_sha256
from storage.engine import AnyRow
from storage.errors import TransientError
from storage.schema import sources, tokens
from storage.sources import ReaderOptions, Record, check_allowed, read, source_stamp


def find_document(
    connection: Connection, corpus_id: int, key: str, input_roots: Sequence[str]
) -> dict[str, Any] | None:
    """Return the document of a key, or the record that stands at `SOURCE@OFFSET`; None when there is neither.

    The text is null, and `text_fault` says why, when its source has changed or cannot be read.
    """
    ranked = ranked_records(corpus_id).subquery()
    row = connection.execute(select(ranked).where(ranked.c.key == key, ranked.c.rank == 1)).one_or_none()
    if row is None:
        return _find_at(connection, corpus_id, key, tuple(input_roots))
    source = _source(connection, sources.c.id == row.source_id)
    text, fault = (row.text, None) if source is None else _read_text(source, row.offset, tuple(input_roots))
    return {
        "key": row.key,
        "source": source.uri if source is not None else None,
        "offset": row.offset,
        "length": row.length,
        "sha256": bytes(row.sha256).hex(),
        "metadata": json.loads(row.metadata) if row.metadata else None,
        "text": text,
        "text_fault": fault,
    }


def _source(connection: Connection, condition: Any) -> AnyRow | None:
    return connection.execute(select(sources).where(condition)).one_or_none()


def _find_at(connection: Connection, corpus_id: int, key: str, input_roots: tuple[str, ...]) -> dict[str, Any] | None:
    uri, _, offset = key.rpartition("@")
    source = _source(connection, (sources.c.corpus_id == corpus_id) & (sources.c.uri == uri)) if uri else None
    if source is None or not (offset.isascii() and offset.isdigit()):
        return None
    record = _record_at(source, int(offset), input_roots)
    if record is None:
        return None
    return {
        "key": record.key,
        "source": source.uri,
        "offset": record.offset,
        "length": record.length,
        "sha256": text_sha256(record.text).hex(),
        "metadata": record.metadata,
        "text": record.text,
        "text_fault": None,
    }


def _read_text(source: AnyRow, offset: int, input_roots: tuple[str, ...]) -> tuple[str | None, str | None]:
    try:
        if source_stamp(source.uri) != (source.size, source.stamp):
            return None, "its source has changed since it was read; run again"
        record = _record_at(source, offset, input_roots)
    except TransientError as error:
        return None, str(error)
    return (record.text, None) if record is not None else (None, "it is no longer there")


def _record_at(source: AnyRow, offset: int, input_roots: tuple[str, ...]) -> Record | None:
    """Return the record that starts at an offset; a record that is bad is none."""
    check_allowed(source.uri, input_roots)
    found = next(iter(read(source.uri, ReaderOptions.from_json(source.options), offset, 1)), None)
    return found if isinstance(found, Record) and found.offset == offset else None


def find_tokens(connection: Connection, sha256: bytes, fingerprint: str) -> list[str] | None:
    """Return the tokens of a text, None when it was not cut under a fingerprint."""
    statement = select(tokens.c.tokens).where(tokens.c.sha256 == sha256, tokens.c.fingerprint == fingerprint)
    found = connection.scalar(statement)
    return None if found is None else list(json.loads(found))
