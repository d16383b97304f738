"""Corpora and their sources: named, refreshed, given to packs. Reads no source; `sources/` does."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, case, delete, insert, select, update
from sqlalchemy.sql import func

from storage.engine import AnyRow, insert_new, now, transact
from storage.errors import SourceUnavailableError, UsageError
from storage.limits import LARGEST_SHARD_BYTES
from storage.schema import corpora, documents, jobs, sources
from storage.sources import ListedSource, ReaderOptions, cut

#: Shards that a small corpus is cut into, if they do not become smaller than …
SHARDS_OF_A_CORPUS = 64
#: … this many bytes, for a shard costs some milliseconds whatever is in it.
SMALLEST_SHARD_BYTES = 256 * 1024
#: How much larger Chinese text is than its compressed form, roughly.
COMPRESSION_RATIO = 3
#: Sources looked up, compared or written by one statement.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh of a corpus's inputs found."""

    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0


def corpus_id_of(connection: Connection, name: str) -> int:
    """Return a corpus's id; raises `UsageError` naming the corpora there are."""
    found = connection.scalar(select(corpora.c.id).where(corpora.c.name == name))
    if found is None:
        names = ", ".join(connection.scalars(select(corpora.c.name).order_by(corpora.c.name).limit(10))) or "none yet"
        message = f"there is no corpus {name!r}; there are: {names}"
        raise UsageError(message)
    return int(found)


def make_corpus(connection: Connection, name: str) -> int:
    """Return the id of a corpus, made if it is not there."""
    if not name or len(name) > 200 or "\x00" in name:  # noqa: PLR2004 - the column's width
        message = f"a corpus needs a name of 1 to 200 characters, not {name!r}"
        raise UsageError(message)
    insert_new(connection, corpora, [{"name": name, "created_at": connection.scalar(select(now()))}])
    return corpus_id_of(connection, name)


def next_pack(connection: Connection, corpus_id: int, packs: int = 1) -> int:
    """Reserve pack numbers and return the first."""
    statement = (
        update(corpora)
        .where(corpora.c.id == corpus_id)
        .values(next_pack=corpora.c.next_pack + packs)
        .returning(corpora.c.next_pack)
    )
    return int(connection.execute(statement).scalar_one()) - packs


def refresh_sources(
    engine: Engine, corpus_id: int, listed: Iterable[ListedSource], shard_bytes: int | None = None
) -> Refreshed:
    """Bring a corpus's sources in line with what its inputs list now.

    New sources are added at the end, changed ones get a new version, and what an input no longer lists is removed.
    A source that is added takes the shard size that is given, or the one that its first planning chooses.
    """
    totals = {"added": 0, "changed": 0, "unchanged": 0}
    inputs: set[str] = set()
    # Compared with what was there before, so that a source that is listed again survives.
    marked = transact(engine, lambda connection: _source_ids(connection, corpus_id))
    seen: set[int] = set()
    for chunk in _chunks(listed):
        inputs.update(source.input for source in chunk)
        counts, ids = transact(engine, lambda connection: _refresh_chunk(connection, corpus_id, chunk, shard_bytes))  # noqa: B023 - run at once
        seen.update(ids)
        for name, count in counts.items():
            totals[name] += count
    removed = transact(engine, lambda connection: _remove_unlisted(connection, corpus_id, inputs, marked - seen))
    return Refreshed(**totals, removed=removed)


def _chunks(listed: Iterable[ListedSource]) -> Iterable[list[ListedSource]]:
    chunk: list[ListedSource] = []
    for source in listed:
        chunk.append(source)
        if len(chunk) == CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _source_ids(connection: Connection, corpus_id: int) -> set[int]:
    return set(connection.scalars(select(sources.c.id).where(sources.c.corpus_id == corpus_id)))


def _refresh_chunk(
    connection: Connection, corpus_id: int, chunk: Sequence[ListedSource], shard_bytes: int | None
) -> tuple[dict[str, int], set[int]]:
    lock_corpus(connection, corpus_id)
    uris = [source.uri for source in chunk]
    known = {
        row.uri: row
        for row in connection.execute(select(sources).where(sources.c.corpus_id == corpus_id, sources.c.uri.in_(uris)))
    }
    added = [source for source in chunk if source.uri not in known]
    changed = [source for source in chunk if source.uri in known and _differs(known[source.uri], source)]
    _add(connection, corpus_id, added, shard_bytes)
    for source in changed:
        _change(connection, known[source.uri], source)
    counts = {"added": len(added), "changed": len(changed), "unchanged": len(chunk) - len(added) - len(changed)}
    return counts, {row.id for row in known.values()}


def lock_corpus(connection: Connection, corpus_id: int) -> None:
    """Let one process at a time change a corpus's sources; on SQLite every writer is alone anyhow."""
    connection.execute(select(corpora.c.id).where(corpora.c.id == corpus_id).with_for_update())


def _differs(row: AnyRow, source: ListedSource) -> bool:
    return (row.size, row.stamp, row.options) != (source.size, source.stamp, source.options.to_json())


def _add(connection: Connection, corpus_id: int, added: Sequence[ListedSource], shard_bytes: int | None) -> None:
    if not added:
        return
    statement = (
        update(corpora)
        .where(corpora.c.id == corpus_id)
        .values(next_position=corpora.c.next_position + len(added))
        .returning(corpora.c.next_position)
    )
    first = int(connection.execute(statement).scalar_one()) - len(added)
    rows = [
        {
            "corpus_id": corpus_id,
            "position": first + number,
            "uri": source.uri,
            "input": source.input,
            "size": source.size,
            "stamp": source.stamp,
            "options": source.options.to_json(),
            "version": 1,
            "shard_bytes": shard_bytes,
        }
        for number, source in enumerate(added)
    ]
    connection.execute(insert(sources), rows)


def _change(connection: Connection, row: AnyRow, source: ListedSource) -> None:
    connection.execute(
        update(sources)
        .where(sources.c.id == row.id)
        .values(
            input=source.input,
            size=source.size,
            stamp=source.stamp,
            options=source.options.to_json(),
            version=sources.c.version + 1,
            # Where a source is cut depends on its bytes.
            cuts=None,
        )
    )


def _remove_unlisted(connection: Connection, corpus_id: int, inputs: set[str], unseen: set[int]) -> int:
    removed = 0
    for ids in _id_chunks(sorted(unseen)):
        gone = list(
            connection.scalars(
                select(sources.c.id).where(
                    sources.c.corpus_id == corpus_id, sources.c.id.in_(ids), sources.c.input.in_(sorted(inputs))
                )
            )
        )
        connection.execute(delete(documents).where(documents.c.source_id.in_(gone)))
        removed += connection.execute(delete(sources).where(sources.c.id.in_(gone))).rowcount
    return removed


def _id_chunks(ids: Sequence[int]) -> Iterable[Sequence[int]]:
    return (ids[start : start + CHUNK] for start in range(0, len(ids), CHUNK))


def restamp_source(engine: Engine, source_id: int, size: int, stamp: str) -> None:
    """Give a source that changed under a running job its new size and stamp."""

    def work(connection: Connection) -> None:
        connection.execute(
            update(sources)
            .where(sources.c.id == source_id, (sources.c.size != size) | (sources.c.stamp != stamp))
            .values(size=size, stamp=stamp, version=sources.c.version + 1, cuts=None)
        )

    transact(engine, work)


def prepare_sources(engine: Engine, corpus_id: int, largest_shard_bytes: int = LARGEST_SHARD_BYTES) -> None:
    """Give every source that has none yet its shard size, and its cuts (large ones) or its pack (small ones)."""
    transact(engine, lambda connection: _choose_shard_bytes(connection, corpus_id, largest_shard_bytes))
    _cut_large(engine, corpus_id)
    transact(engine, lambda connection: _pack_small(connection, corpus_id))


def _choose_shard_bytes(connection: Connection, corpus_id: int, largest_shard_bytes: int) -> None:
    # Enough shards that workers who finish at different moments do not wait long for the last of them.
    size_bytes = connection.scalar(select(func.sum(sources.c.size)).where(sources.c.corpus_id == corpus_id)) or 0
    chosen = min(largest_shard_bytes, max(SMALLEST_SHARD_BYTES, int(size_bytes) // SHARDS_OF_A_CORPUS))
    connection.execute(
        update(sources)
        .where(sources.c.corpus_id == corpus_id, sources.c.shard_bytes.is_(None))
        .values(shard_bytes=chosen)
    )


def _cut_large(engine: Engine, corpus_id: int) -> None:
    statement = select(sources).where(
        sources.c.corpus_id == corpus_id,
        sources.c.cuts.is_(None),
        sources.c.size > sources.c.shard_bytes,
    )
    rows = transact(engine, lambda connection: connection.execute(statement).all())
    for row in rows:
        # Outside a transaction: finding the record starts of a large CSV reads all of it.
        try:
            ranges = cut(row.uri, row.size, ReaderOptions.from_json(row.options), row.shard_bytes)
        except SourceUnavailableError:
            # Planned whole: its shard waits for it, and becomes a dead letter when it stays away.
            continue
        values = {"cuts": json.dumps(ranges, separators=(",", ":")), "pack": None}
        statement_cut = update(sources).where(sources.c.id == row.id, sources.c.version == row.version).values(**values)
        transact(engine, lambda connection: connection.execute(statement_cut))  # noqa: B023 - run at once


def _pack_small(connection: Connection, corpus_id: int) -> None:
    lock_corpus(connection, corpus_id)
    statement = (
        select(sources.c.id, sources.c.size, sources.c.shard_bytes)
        .where(
            sources.c.corpus_id == corpus_id,
            sources.c.pack.is_(None),
            sources.c.cuts.is_(None),
            sources.c.size <= sources.c.shard_bytes,
        )
        .order_by(sources.c.position)
    )
    rows = connection.execute(statement).all()
    if not rows:
        return
    packs: list[list[int]] = [[]]
    filled_bytes = 0
    for row in rows:
        if packs[-1] and filled_bytes + row.size > row.shard_bytes:
            packs.append([])
            filled_bytes = 0
        packs[-1].append(row.id)
        filled_bytes += row.size
    first = next_pack(connection, corpus_id, len(packs))
    for number, ids in enumerate(packs, start=first):
        for chunk in _id_chunks(ids):
            connection.execute(update(sources).where(sources.c.id.in_(chunk)).values(pack=number))


def list_corpora(connection: Connection) -> list[dict[str, object]]:
    """Return every corpus with how much it holds."""
    statement = select(
        corpora.c.name,
        select(func.count()).where(sources.c.corpus_id == corpora.c.id).scalar_subquery().label("sources"),
        select(func.coalesce(func.sum(sources.c.size), 0))
        .where(sources.c.corpus_id == corpora.c.id)
        .scalar_subquery()
        .label("bytes"),
        select(func.count()).where(jobs.c.corpus_id == corpora.c.id).scalar_subquery().label("jobs"),
    ).order_by(corpora.c.name)
    return [dict(row) for row in connection.execute(statement).mappings()]


def corpus_bytes(connection: Connection, corpus_id: int) -> int:
    """Return about how many bytes of text a corpus has, in its sources and in its enqueued documents."""
    is_plain = sources.c.options.contains('"compression":""', autoescape=True)
    size = case((is_plain, sources.c.size), else_=sources.c.size * COMPRESSION_RATIO)
    in_sources = select(func.coalesce(func.sum(size), 0)).where(sources.c.corpus_id == corpus_id)
    enqueued = select(func.coalesce(func.sum(documents.c.length), 0)).where(
        documents.c.corpus_id == corpus_id, documents.c.source_id == 0
    )
    return int(connection.scalar(in_sources) or 0) + int(connection.scalar(enqueued) or 0)
