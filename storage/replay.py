"""Lets dead letters run again: each becomes a shard of its own, beside the shard it was set aside from.

Reads no document. A letter whose source is no longer what it was is refused: its offset means nothing any more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from sqlalchemy import Connection, Engine, insert, select, update
from sqlalchemy.sql import func

from storage import job_ledger, repeats
from storage import jobs as job_rows
from storage.engine import AnyRow, reading, transact
from storage.errors import SourceUnavailableError, UsageError
from storage.ledger import FIRST_REPLAYED
from storage.schema import dead_letters, shards, sources
from storage.sources import source_stamp
from storage.states import JobState, ShardState

#: Letters replayed by one transaction.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did, and the places whose source has changed."""

    letters: int
    refused: Sequence[str] = ()


def replay(engine: Engine, job_id: int) -> Replayed:
    """Put every standing dead letter of a finished job back as a shard of its own, and open the job again.

    Raises `UsageError` unless the job is DONE_WITH_DEAD. A replay that was cut short is completed by another one.
    """
    with reading(engine) as connection:
        job = job_rows.get(connection, job_id)
        letters = _standing(connection, job_id)
    if job.state != JobState.DONE_WITH_DEAD:
        message = f"job {job_id} is {job.state}: only a job that is done, with dead letters, can replay them"
        raise UsageError(message)
    current = _still_as_planned(engine, letters)
    good = [letter for letter in letters if letter.id in current]
    refused = [f"{letter.source} at {letter.offset}" for letter in letters if letter.id not in current]
    # The job stays closed until the last shard is in: an open one could begin to sum without it.
    for start in range(0, len(good), CHUNK):
        transact(engine, partial(_put_back, job_id=job_id, letters=good[start : start + CHUNK]))
    transact(engine, partial(_reopen, job_id=job_id))
    return Replayed(len(good), refused)


def _standing(connection: Connection, job_id: int) -> list[AnyRow]:
    statement = (
        select(dead_letters, shards.c.root_key, shards.c.pieces, sources.c.version)
        .join(shards, shards.c.id == dead_letters.c.shard_id)
        .outerjoin(sources, sources.c.id == dead_letters.c.source_id)
        .where(dead_letters.c.job_id == job_id, dead_letters.c.state == "standing")
        .order_by(dead_letters.c.id)
    )
    return list(connection.execute(statement))


def _still_as_planned(engine: Engine, letters: Sequence[AnyRow]) -> set[int]:
    """Return the ids of letters whose source is as it was when their shard was planned; documents never change."""
    changed = _changed_sources(engine, {letter.source_id for letter in letters if letter.source_id})
    return {
        letter.id
        for letter in letters
        if letter.document_id or (letter.source_id not in changed and letter.version == _planned_version(letter))
    }


def _planned_version(letter: AnyRow) -> int | None:
    files = json.loads(letter.pieces).get("files", ())
    return next((version for source_id, _, _, version in files if source_id == letter.source_id), None)


def _changed_sources(engine: Engine, source_ids: set[int]) -> set[int]:
    changed = set()
    for source_id in source_ids:
        with reading(engine) as connection:
            row = connection.execute(select(sources).where(sources.c.id == source_id)).one_or_none()
        try:
            same = row is not None and source_stamp(row.uri) == (row.size, row.stamp)
        except SourceUnavailableError:
            # Away is not changed: when it is there again, its shard runs, and until then it waits.
            same = True
        if not same:
            changed.add(source_id)
    return changed


def _put_back(connection: Connection, job_id: int, letters: Sequence[AnyRow]) -> None:
    halves: dict[int, int] = {}
    for letter in letters:
        taken = update(dead_letters).where(dead_letters.c.id == letter.id, dead_letters.c.state == "standing")
        if connection.execute(taken.values(state="replayed")).rowcount != 1:
            continue
        connection.execute(
            update(shards)
            .where(shards.c.id == letter.shard_id)
            .values(documents_in=shards.c.documents_in - 1, dead=shards.c.dead - 1)
        )
        half = halves.get(letter.shard_id) or _next_half(connection, letter.shard_id)
        halves[letter.shard_id] = half + 1
        connection.execute(insert(shards).values(_shard_of(job_id, letter, half)))


def _next_half(connection: Connection, shard_id: int) -> int:
    highest = connection.scalar(select(func.max(shards.c.half)).where(shards.c.parent_id == shard_id))
    return max(FIRST_REPLAYED, (highest or 0) + 1)


def _shard_of(job_id: int, letter: AnyRow, half: int) -> dict[str, Any]:
    pieces: dict[str, Any] = {"documents": [letter.document_id]}
    if not letter.document_id:
        # A letter without a length stands for all that follows its offset.
        pieces = {"files": [[letter.source_id, letter.offset, letter.length or -1, letter.version]]}
    pieces = repeats.with_repeats(pieces, repeats.places_in(json.loads(letter.pieces)))
    return {
        "job_id": job_id,
        "kind": "map",
        "state": ShardState.PENDING,
        "parent_id": letter.shard_id,
        "half": half,
        "root_key": letter.root_key,
        "pieces": json.dumps(pieces, separators=(",", ":")),
        "bytes": letter.length,
    }


def _reopen(connection: Connection, job_id: int) -> None:
    if connection.scalar(select(job_ledger.unfinished(job_id))):
        job_ledger.reopen(connection, job_id)
