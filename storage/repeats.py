"""Records that are left out of a count because another one stands for them: which they are, and where that is kept.

Planning writes the places of those in a shard's pieces, beside what the shard reads: so a shard is what it is, whoever
groups the corpus anew meanwhile, and its halves and replayed records leave out the same. Groups nothing.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, and_, exists, or_, select
from sqlalchemy.sql import func

from storage import duplicates
from storage.duplicate_tables import duplicate_members
from storage.engine import AnyRow
from storage.schema import documents, generations, jobs, partial_counts, shards, sources
from storage.states import ShardState

#: The parameter of a job that leaves repeats out, and for what one document stands then.
PARAMETER = "skip_duplicates"
MODES = ("near", "exact")
#: Where the pieces of a shard hold them: `[[source, [offset, …]], …]`, with source 0 the enqueued documents' ids.
FIELD = "repeats"

#: The offsets of records by their source, sorted; under 0 the ids of enqueued documents.
Places = Mapping[int, Sequence[int]]


def mode_of(job: AnyRow) -> str | None:
    """Return how a job leaves repeats out, None for a job that reads everything."""
    mode: str | None = json.loads(job.parameters).get(PARAMETER)
    return mode


def repeated_places(connection: Connection, corpus_id: int, mode: str) -> Places:
    """Return the places of all documents of a corpus that another one stands for, some 40 bytes each.

    `mode` says for what it stands: `near` for its whole group, `exact` for equal texts only. One that is no longer in
    the corpus as it was stands for nothing: the next that is there takes its place.
    """
    generation_id = duplicates.current_groups(connection, corpus_id)
    places: dict[int, list[int]] = defaultdict(list)
    if generation_id is None:
        return places
    of_one = [duplicate_members.c.group_number]
    if mode == "exact":
        of_one.append(duplicate_members.c.text_number)
    is_current = exists().where(
        sources.c.id == duplicate_members.c.source_id, sources.c.version == duplicate_members.c.source_version
    )
    columns = (duplicate_members.c.source_id, duplicate_members.c.offset, duplicate_members.c.document_id)
    rank = func.row_number().over(partition_by=of_one, order_by=duplicate_members.c.number)
    ranked = (
        select(*columns, rank.label("rank"))
        .where(duplicate_members.c.generation_id == generation_id)
        .where(or_(duplicate_members.c.source_id == 0, is_current))
        .subquery()
    )
    statement = select(ranked.c.source_id, ranked.c.offset, ranked.c.document_id).where(ranked.c.rank > 1)
    for source_id, offset, document_id in connection.execute(statement.execution_options(yield_per=2000)):
        places[source_id].append(offset if source_id else document_id)
    for of_source in places.values():
        of_source.sort()
    return places


def within(places: Places, pieces: Mapping[str, Any]) -> list[list[Any]]:
    """Return those of some places that a shard reads, as its pieces keep them."""
    found: list[list[Any]] = []
    for source_id, offset, length, *_ in pieces.get("files", ()):
        of_source = places.get(source_id, ())
        first = bisect_left(of_source, offset)
        last = len(of_source) if length < 0 else bisect_left(of_source, offset + length)
        if first < last:
            found.append([source_id, list(of_source[first:last])])
    enqueued = [document_id for document_id in pieces.get("documents", ()) if _is_in(document_id, places.get(0, ()))]
    return [*found, [0, enqueued]] if enqueued else found


def _is_in(place: int, places: Sequence[int]) -> bool:
    found = bisect_left(places, place)
    return found < len(places) and places[found] == place


def places_in(pieces: Mapping[str, Any]) -> Places:
    """Return the places that the pieces of a shard keep."""
    return dict(pieces.get(FIELD, ()))


def number_in(pieces: Mapping[str, Any]) -> int:
    """Return how many records the pieces of a shard leave out."""
    return sum(len(places) for _, places in pieces.get(FIELD, ()))


def with_repeats(pieces: dict[str, Any], places: Places) -> dict[str, Any]:
    """Return pieces with those of some places that they read."""
    found = within(places, pieces) if places else []
    return {**pieces, FIELD: found} if found else pieces


def count_left_out(connection: Connection, job: AnyRow) -> int:
    """Return how many records a count has left out: those that its shards account for and their partial counts lack."""
    return sum(accounted - counted for _, accounted, counted, _ in _counted(connection, job))


def faults(connection: Connection, job: AnyRow) -> list[str]:
    """Return where a job that leaves repeats out has not counted what it should, a sentence each."""
    wrong = 0
    for pieces, accounted, counted, dead in _counted(connection, job):
        listed, left_out = number_in(json.loads(pieces)), accounted - counted
        # A record that stands for nothing, because it is dead itself, is not left out.
        wrong += left_out > listed or (left_out < listed and not dead)
    return [f"{wrong} shards have left out other records than those that repeat one"] if wrong else []


def _counted(connection: Connection, job: AnyRow) -> list[AnyRow]:
    """Return (pieces, records accounted for, documents counted, dead records) of shards that leave something out."""
    is_partial = and_(
        partial_counts.c.digest == shards.c.digest,
        partial_counts.c.fingerprint == job.fingerprint,
        partial_counts.c.partition == 0,
        partial_counts.c.partitions == shards.c.partitions,
    )
    statement = (
        select(shards.c.pieces, shards.c.results, partial_counts.c.documents, shards.c.dead)
        .join(partial_counts, is_partial)
        .where(shards.c.job_id == job.id, shards.c.kind == "map", shards.c.state == ShardState.DONE)
        .where(or_(shards.c.results != partial_counts.c.documents, shards.c.pieces.contains(f'"{FIELD}"')))
    )
    return list(connection.execute(statement))


def changes_since(connection: Connection, corpus_id: int, generation_id: int) -> str:
    """Return how a corpus differs from the one whose duplicates were grouped, in words; empty when it does not."""
    job_id = connection.scalar(select(generations.c.job_id).where(generations.c.id == generation_id)) or 0
    changed = {source_id for source_id, _ in _read_by(connection, job_id) ^ _standing_now(connection, corpus_id)}
    below = connection.scalar(select(jobs.c.below_document).where(jobs.c.id == job_id)) or 0
    later = select(func.count()).where(
        documents.c.corpus_id == corpus_id, documents.c.source_id == 0, documents.c.id >= below
    )
    enqueued = connection.scalar(later) or 0
    found = [f"sources that are new, changed or gone: {len(changed):,}"] if changed else []
    found += [f"documents enqueued since: {enqueued:,}"] if enqueued else []
    return ", ".join(found)


def _read_by(connection: Connection, job_id: int) -> set[tuple[int, int]]:
    """Return the (source, version) pairs that the shards of a job have read."""
    read: set[tuple[int, int]] = set()
    statement = select(shards.c.pieces).where(
        shards.c.job_id == job_id, shards.c.kind == "map", shards.c.state != ShardState.SPLIT
    )
    for pieces in connection.scalars(statement.execution_options(yield_per=1000)):
        read.update((source_id, version) for source_id, _, _, version in json.loads(pieces).get("files", ()))
    return read


def _standing_now(connection: Connection, corpus_id: int) -> set[tuple[int, int]]:
    statement = select(sources.c.id, sources.c.version).where(sources.c.corpus_id == corpus_id)
    return {(row.id, row.version) for row in connection.execute(statement)}
