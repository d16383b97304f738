"""Lists sources that need not exist: planning looks at names, sizes and stamps, and reads no lines."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, select

from storage.corpora import Refreshed, refresh_sources
from storage.engine import AnyRow, reading
from storage.schema import sources
from storage.sources import ListedSource, ReaderOptions

SHARD_BYTES = 100
OPTIONS = ReaderOptions(format="lines")
INPUT = "/texts"


def listed(
    name: str, size: int = 40, *, stamp: str = "1", given: str = INPUT, options: ReaderOptions = OPTIONS
) -> ListedSource:
    """Return a text file of so many bytes, as the listing of a directory names it."""
    return ListedSource(f"{given}/{name}", given, size, stamp, options)


def refresh(engine: Engine, corpus_id: int, found: Sequence[ListedSource], shard_bytes: int = SHARD_BYTES) -> Refreshed:
    """Bring a corpus in line with what was listed."""
    return refresh_sources(engine, corpus_id, found, shard_bytes)


def source_rows(engine: Engine, corpus_id: int) -> list[AnyRow]:
    """Return a corpus's sources in their order."""
    statement = select(sources).where(sources.c.corpus_id == corpus_id).order_by(sources.c.position)
    with reading(engine) as connection:
        return list(connection.execute(statement))
