"""Makes a job's shards from what its corpus holds now, and takes over what earlier jobs know. Runs nothing.

Planning is a comparison, so it can be repeated at any time: shards that should be there are added, shards whose
sources changed or went are taken away, and every other shard stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, delete, insert, literal, select, update
from sqlalchemy.sql import func

from storage import fault_points, job_ledger, repeats
from storage.corpora import corpus_bytes, lock_corpus, prepare_sources
from storage.documents import merge_small_packs
from storage.engine import AnyRow, load_rows, now, reading, transact
from storage.errors import LeaseLostError
from storage.limits import LARGEST_SHARD_BYTES
from storage.planner_sign import PlannerSign
from storage.schema import corpora, dead_letters, documents, jobs, shards, sources
from storage.states import ShardState

#: Shards compared or written by one transaction.
CHUNK = 500
#: How many earlier jobs are asked for what they know.
EARLIER_JOBS = 5
#: Heaps' law: distinct words = factor · (bytes of text) ^ exponent.
HEAPS_FACTOR = 7.1
HEAPS_EXPONENT = 0.6
#: Most partitions of a merge.
MAX_PARTITIONS = 1024
#: Operations whose merge looks at all documents together, and so has one partition only.
MERGED_AS_A_WHOLE = ("dedup",)

Item = TypeVar("Item")
Result = TypeVar("Result")
#: Dead letters whose cause may have gone by itself; a shard that has one is run again by the next job.
PASSING_REASONS = ("source_unavailable",)


@dataclass(frozen=True, slots=True)
class Plan:
    """How many shards a planning found, and how many of them need no work."""

    shards: int = 0
    added: int = 0
    removed: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class PlanSizes:
    """How large the parts of a job may be."""

    #: Largest shard, where the user named no size.
    shard_bytes: int = LARGEST_SHARD_BYTES
    #: Distinct words that one partition of a merge is made for.
    merge_words: int = 150_000


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """What one shard of a job is to read."""

    root_key: bytes
    #: As JSON already: a plan is held until it is compared, and a million dictionaries would be gigabytes.
    pieces: str
    size_bytes: int


def plan_job(engine: Engine, job_id: int, sizes: PlanSizes | None = None) -> Plan | None:
    """Plan a job's shards anew and seal it; what is known already is taken over and not computed again.

    Returns None when the job has ended, or when somebody else began to plan it later: theirs holds, and it has seen
    everything that this one has.
    """
    sizes = sizes or PlanSizes()
    planner = transact(engine, lambda connection: job_ledger.start_planning(connection, job_id))
    if planner is None:
        return None
    fault_points.reach("plan.started")
    with PlannerSign(engine, job_id, planner):
        return _plan(engine, job_id, planner, sizes)


def _plan(engine: Engine, job_id: int, planner: str, sizes: PlanSizes) -> Plan | None:
    job = transact(engine, lambda connection: connection.execute(select(jobs).where(jobs.c.id == job_id)).one())
    prepare_sources(engine, job.corpus_id, sizes.shard_bytes)
    transact(engine, lambda connection: merge_small_packs(connection, job.corpus_id, sizes.shard_bytes))
    below = transact(engine, lambda connection: _choose_bounds(connection, job, sizes.merge_words))
    with reading(engine) as connection:
        present = _present_roots(connection, job_id)
        planned, missing = _compare(_shards_of(connection, job, below), present)
    stale = list(present)
    # The longest first: a worker that starts the longest shard last makes everybody wait for it.
    missing.sort(key=lambda shard: -shard.size_bytes)
    reused = 0
    try:
        for keys in _chunks(stale):
            _planned(engine, job_id, planner, partial(_remove, job_id=job_id, keys=keys))
        for chunk in _chunks(missing):
            reused += _planned(engine, job_id, planner, partial(_add, job=job, chunk=chunk))
            fault_points.reach("plan.added")
        fault_points.reach("plan.sealing")
        _planned(engine, job_id, planner, partial(_finish, job_id=job_id, planner=planner))
    except LeaseLostError:
        return None
    return Plan(planned, len(missing), len(stale), reused)


def _compare(planned: Iterable[PlannedShard], present: set[bytes]) -> tuple[int, list[PlannedShard]]:
    """Return how many shards are planned and those that are missing; `present` keeps those that are not planned."""
    number, missing = 0, []
    for shard in planned:
        number += 1
        if shard.root_key in present:
            present.remove(shard.root_key)
        else:
            missing.append(shard)
    return number, missing


def _choose_bounds(connection: Connection, job: AnyRow, merge_words: int) -> tuple[int, int]:
    """Write down which part of its corpus a job is about, and in how many partitions it is summed; return the part.

    What comes into the corpus from now on belongs to later jobs, also while this one is still being planned.
    """
    # Whoever enqueues locks the corpus too: no document with a smaller id is still on its way.
    lock_corpus(connection, job.corpus_id)
    position = connection.scalar(select(corpora.c.next_position).where(corpora.c.id == job.corpus_id)) or 0
    last = select(func.max(documents.c.id)).where(documents.c.corpus_id == job.corpus_id, documents.c.source_id == 0)
    document_id = (connection.scalar(last) or 0) + 1
    # Partial counts that were made with another number of partitions still fit: both are powers of two.
    is_whole = job.operation in MERGED_AS_A_WHOLE
    partitions = 1 if is_whole else partitions_for(corpus_bytes(connection, job.corpus_id), merge_words)
    values = {"partitions": partitions, "below_position": position, "below_document": document_id}
    connection.execute(update(jobs).where(jobs.c.id == job.id).values(**values))
    return position, document_id


def partitions_for(text_bytes: int, merge_words: int) -> int:
    """Return how many partitions a merge takes, a power of two, so that each holds about `merge_words` words.

    By Heaps' law the vocabulary grows as a power of the text; the constants fit the news, laws, articles and novels
    that the benchmarks count (150 MB have 570,000 distinct words).
    """
    words = HEAPS_FACTOR * text_bytes**HEAPS_EXPONENT
    partitions = 1
    while partitions * merge_words < words and partitions < MAX_PARTITIONS:
        partitions *= 2
    return partitions


def _planned(engine: Engine, job_id: int, planner: str, work: Callable[[Connection], Result]) -> Result:
    def fenced(connection: Connection) -> Result:
        if not job_ledger.plans(connection, job_id, planner):
            message = f"job {job_id} is planned by somebody else"
            raise LeaseLostError(message)
        return work(connection)

    return transact(engine, fenced)


def _chunks(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    return (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))


def _finish(connection: Connection, job_id: int, planner: str) -> None:
    _copy_dead_letters(connection, job_id)
    job_ledger.seal(connection, job_id, planner)


def _shards_of(connection: Connection, job: AnyRow, below: tuple[int, int]) -> Iterator[PlannedShard]:
    """Yield the shards that a job is to have; those of one that leaves repeats out know which they are."""
    mode = repeats.mode_of(job)
    planned = _planned_shards(connection, job.corpus_id, below)
    if mode is None:
        yield from planned
        return
    places = repeats.repeated_places(connection, job.corpus_id, mode)
    for shard in planned:
        left_out = repeats.within(places, json.loads(shard.pieces))
        yield _leaving_out(shard, left_out) if left_out else shard


def _leaving_out(shard: PlannedShard, left_out: list[list[Any]]) -> PlannedShard:
    pieces = {**json.loads(shard.pieces), repeats.FIELD: left_out}
    return replace(shard, root_key=_digest([[shard.root_key.hex(), left_out]]), pieces=_as_json(pieces))


def _planned_shards(connection: Connection, corpus_id: int, below: tuple[int, int]) -> Iterator[PlannedShard]:
    statement = (
        select(sources)
        .where(sources.c.corpus_id == corpus_id, sources.c.position < below[0])
        .order_by(sources.c.pack.is_(None), sources.c.pack, sources.c.position)
    )
    rows = connection.execute(statement.execution_options(yield_per=1000))
    for pack, members in groupby(rows, key=lambda row: row.pack):
        if pack is None:
            for row in members:
                yield from _ranges(row)
        else:
            yield from _packed(list(members))
    yield from _planned_documents(connection, corpus_id, below[1])


def _ranges(row: AnyRow) -> Iterator[PlannedShard]:
    # No cuts yet: the source changed after it was prepared. Whole for now; whoever saw the change plans again.
    ranges = json.loads(row.cuts) if row.cuts else [[0, -1]]
    lengths_are_bytes = sum(length for _, length in ranges) == row.size
    for offset, length in ranges:
        # A range of rows has no length in bytes: the source's bytes are shared out evenly then.
        size_bytes = length if lengths_are_bytes else row.size // len(ranges)
        identity = [[row.id, row.version, row.uri, row.size, row.stamp, row.options, offset, length]]
        yield PlannedShard(_digest(identity), _as_json({"files": [[row.id, offset, length, row.version]]}), size_bytes)


def _packed(rows: Sequence[AnyRow]) -> Iterator[PlannedShard]:
    # Equal content may stand in a corpus twice and counts twice, but one path is there once: so keys are unique.
    identity = [[row.id, row.version, row.uri, row.size, row.stamp, row.options, 0, -1] for row in rows]
    pieces = {"files": [[row.id, 0, -1, row.version] for row in rows]}
    yield PlannedShard(_digest(identity), _as_json(pieces), sum(row.size for row in rows))


def _planned_documents(connection: Connection, corpus_id: int, below_document: int) -> Iterator[PlannedShard]:
    statement = (
        select(documents.c.id, documents.c.pack, documents.c.sha256, documents.c.length)
        .where(documents.c.corpus_id == corpus_id, documents.c.source_id == 0, documents.c.id < below_document)
        .order_by(documents.c.pack, documents.c.id)
    )
    rows = connection.execute(statement.execution_options(yield_per=1000))
    for _, members in groupby(rows, key=lambda row: row.pack):
        yield documents_shard(list(members))


def documents_shard(rows: Sequence[AnyRow]) -> PlannedShard:
    """Return the shard of a run of enqueued documents (rows with id, sha256 and length)."""
    identity = [[row.id, row.sha256.hex()] for row in rows]
    pieces = {"documents": [row.id for row in rows]}
    return PlannedShard(_digest(identity), _as_json(pieces), sum(row.length for row in rows))


def _digest(identity: list[list[Any]]) -> bytes:
    return hashlib.sha256(_as_json(identity).encode()).digest()


def _as_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def _present_roots(connection: Connection, job_id: int) -> set[bytes]:
    statement = select(shards.c.root_key).where(shards.c.job_id == job_id, shards.c.kind == "map").distinct()
    return {key for key in connection.scalars(statement) if key is not None}


def _remove(connection: Connection, job_id: int, keys: Sequence[bytes]) -> None:
    of_job = (shards.c.job_id == job_id) & shards.c.root_key.in_(keys)
    # An attempt that still runs on one of them finds its token gone and drops what it made. The shards go first: a
    # flush that is under way is waited for here, and its letters are then seen.
    gone = list(connection.scalars(delete(shards).where(of_job).returning(shards.c.id)))
    connection.execute(delete(dead_letters).where(dead_letters.c.shard_id.in_(gone)))


def add_shards(connection: Connection, job_id: int, planned: Iterable[PlannedShard]) -> None:
    """Append shards that nothing is known of."""
    rows = (
        (job_id, "map", str(ShardState.PENDING), shard.root_key, shard.pieces, shard.size_bytes) for shard in planned
    )
    load_rows(connection, shards, ("job_id", "kind", "state", "root_key", "pieces", "bytes"), rows)


def _add(connection: Connection, job: AnyRow, chunk: Sequence[PlannedShard]) -> int:
    # When the answer to a commit was lost this runs again, and finds what it has added.
    keys = [shard.root_key for shard in chunk]
    there = select(shards.c.root_key).where(shards.c.job_id == job.id, shards.c.root_key.in_(keys))
    added = set(connection.scalars(there))
    chunk = [shard for shard in chunk if shard.root_key not in added]
    known = _known_leaves(connection, job, [shard.root_key for shard in chunk])
    add_shards(connection, job.id, [shard for shard in chunk if shard.root_key not in known])
    leaves = [shard_id for shard in chunk for shard_id in known.get(shard.root_key, ())]
    for some in _chunks(leaves):
        _take_over(connection, job.id, some)
    return len(known)


def _known_leaves(connection: Connection, job: AnyRow, keys: Sequence[bytes]) -> dict[bytes, list[int]]:
    """Return, for every planned shard that an earlier equal job has ended with, the ids of what it ended as."""
    # Every job takes over what the one before it knew, so that the last few know everything.
    earlier = (
        select(jobs.c.id)
        .where(
            jobs.c.id != job.id,
            jobs.c.corpus_id == job.corpus_id,
            jobs.c.operation == job.operation,
            jobs.c.fingerprint == job.fingerprint,
        )
        .order_by(jobs.c.id.desc())
        .limit(EARLIER_JOBS)
    )
    earlier_ids = list(connection.scalars(earlier))
    if not earlier_ids:
        return {}
    statement = (
        select(shards.c.root_key, shards.c.job_id, shards.c.id, shards.c.state, shards.c.dead)
        .where(shards.c.root_key.in_(keys), shards.c.job_id.in_(earlier_ids))
        .order_by(shards.c.job_id)
    )
    families: dict[tuple[bytes, int], list[AnyRow]] = defaultdict(list)
    for row in connection.execute(statement):
        families[row.root_key, row.job_id].append(row)
    ended = {ShardState.DONE, ShardState.DEAD, ShardState.SPLIT}
    known: dict[bytes, list[int]] = {}
    least: dict[bytes, int] = {}
    for (root_key, _), members in families.items():
        dead = sum(row.dead for row in members)
        if {row.state for row in members} <= ended and dead <= least.get(root_key, dead):
            least[root_key] = dead
            known[root_key] = [row.id for row in members if row.state != ShardState.SPLIT]
    return _without_passing_trouble(connection, known)


def _without_passing_trouble(connection: Connection, known: dict[bytes, list[int]]) -> dict[bytes, list[int]]:
    ids = [shard_id for leaves in known.values() for shard_id in leaves]
    if not ids:
        return {}
    statement = select(dead_letters.c.shard_id).where(
        dead_letters.c.shard_id.in_(ids), dead_letters.c.reason.in_(PASSING_REASONS)
    )
    troubled = set(connection.scalars(statement))
    return {key: leaves for key, leaves in known.items() if troubled.isdisjoint(leaves)}


#: What a shard that is taken over has in common with its origin.
_TAKEN_OVER = (
    "kind",
    "state",
    "root_key",
    "pieces",
    "bytes",
    "digest",
    "partitions",
    "documents_in",
    "results",
    "dead",
    "tokens",
    "finished_at",
)
#: What a dead letter has in common with its copy in a later job.
_COPIED = (
    "source_id",
    "source",
    "line",
    "offset",
    "length",
    "document_id",
    "key",
    "reason",
    "detail",
    "attempts",
    "state",
)


def _take_over(connection: Connection, job_id: int, leaves: Sequence[int]) -> None:
    copied = [shards.c[name] for name in _TAKEN_OVER]
    origin = select(literal(job_id), shards.c.id, *copied).where(shards.c.id.in_(leaves))
    connection.execute(insert(shards).from_select(["job_id", "origin_id", *_TAKEN_OVER], origin))


def _copy_dead_letters(connection: Connection, job_id: int) -> None:
    there = select(dead_letters.c.shard_id).where(dead_letters.c.job_id == job_id)
    origin = (
        select(literal(job_id), shards.c.id, now(), *(dead_letters.c[name] for name in _COPIED))
        .join(shards, shards.c.origin_id == dead_letters.c.shard_id)
        .where(shards.c.job_id == job_id, dead_letters.c.state != "replayed", shards.c.id.not_in(there))
    )
    connection.execute(insert(dead_letters).from_select(["job_id", "shard_id", "created_at", *_COPIED], origin))


def count_reused(connection: Connection, job_id: int) -> int:
    """Return how many shards of a job were known before it."""
    statement = select(func.count()).where(shards.c.job_id == job_id, shards.c.origin_id.is_not(None))
    return connection.scalar(statement) or 0
