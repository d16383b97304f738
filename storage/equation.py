"""The equation of a job: documents in = results + identical + replaced + dead letters. Judges, and changes nothing.

The figures of a job are what its attempts said they had done. Here they are held against what stands in SQL: the dead
letters themselves, the documents behind the partial counts, the results of documents.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Table, and_, exists, or_, select
from sqlalchemy.sql import func

from storage import progress, repeats
from storage.engine import AnyRow
from storage.schema import (
    dead_letters,
    documents,
    job_progress,
    jobs,
    keywords,
    label_scores,
    partial_counts,
    shards,
    sources,
    summaries,
    tokens,
)
from storage.shard_input import SOURCE_UNAVAILABLE
from storage.states import COMPLETE_JOB_STATES, ShardState

#: Where the results of an operation over documents stand, one row a text and fingerprint.
RESULT_TABLES: Mapping[str, Table] = {
    "tokenize": tokens,
    "summarize": summaries,
    "classify": label_scores,
    "keywords": keywords,
}


def faults(connection: Connection, job: AnyRow) -> list[str]:
    """Return what does not add up of a job whose shards have all ended, a sentence each."""
    sums = progress.sums_of(connection, [job.id])[job.id]
    found = []
    documents_in, results, dead = (sums[name] for name in ("documents_in", "results", "dead"))
    if documents_in != results + dead:
        found.append(f"{documents_in} documents went in, {results} came out and {dead} are dead")
    letters = _count(connection, _letters(job.id))
    if letters != dead:
        found.append(f"{dead} documents are dead by the shards, and there are {letters} dead letters")
    table = RESULT_TABLES.get(job.operation)
    if job.operation in {"count", "discover"}:
        found += repeats.faults(connection, job) if repeats.mode_of(job) else _uncounted(connection, job)
    elif table is not None and job.below_position is not None:
        found += _without_result(connection, job, results, table)
    return found


def _count(connection: Connection, rows: Select[Any]) -> int:
    return connection.scalar(select(func.count()).select_from(rows.subquery())) or 0


def _letters(job_id: int) -> Select[Any]:
    return select(dead_letters.c.id).where(dead_letters.c.job_id == job_id, dead_letters.c.state != "replayed")


def _uncounted(connection: Connection, job: AnyRow) -> list[str]:
    """Compare what shards say they counted with the partial counts; of a missing one the merge itself speaks."""
    statement = (
        select(func.count(), func.coalesce(func.sum(shards.c.results), 0), func.sum(partial_counts.c.documents))
        .join(
            partial_counts,
            and_(
                partial_counts.c.digest == shards.c.digest,
                partial_counts.c.fingerprint == job.fingerprint,
                partial_counts.c.partition == 0,
            ),
        )
        .where(shards.c.job_id == job.id, shards.c.kind == "map", shards.c.state == ShardState.DONE)
        .where(shards.c.results != partial_counts.c.documents)
    )
    different, said, counted = connection.execute(statement).one()
    if not different:
        return []
    return [f"{different} shards say that they counted {said} documents, and their partial counts have {counted}"]


def _without_result(connection: Connection, job: AnyRow, results: int, table: Table) -> list[str]:
    found = connection.scalar(select(func.count()).select_from(_records_with_result(job, table).subquery())) or 0
    # A corpus that went on while the job ran is no longer what the job was about, and of a source that was away nobody
    # knows which of its records have been read before.
    if found == results or _was_away(connection, job.id) or not _is_as_planned(connection, job):
        return []
    return [f"{results} documents have a result by the shards, and {found} have one in the table {table.name}"]


def _records_with_result(job: AnyRow, table: Table) -> Select[Any]:
    """Return the statement of a job's records that have a result; those that share a key have one each."""
    is_current = and_(sources.c.id == documents.c.source_id, sources.c.version == documents.c.source_version)
    from_source = and_(sources.c.id.is_not(None), documents.c.position < job.below_position)
    enqueued = and_(documents.c.source_id == 0, documents.c.id < job.below_document)
    letter_of_source = and_(
        dead_letters.c.source_id == documents.c.source_id,
        dead_letters.c.offset == documents.c.offset,
        dead_letters.c.source_id != 0,
    )
    letter_of_enqueued = and_(dead_letters.c.source_id == 0, dead_letters.c.document_id == documents.c.id)
    is_dead = exists().where(dead_letters.c.job_id == job.id, or_(letter_of_source, letter_of_enqueued))
    has_result = exists().where(table.c.sha256 == documents.c.sha256, table.c.fingerprint == job.fingerprint)
    return (
        select(documents.c.id)
        .outerjoin(sources, is_current)
        .where(documents.c.corpus_id == job.corpus_id, or_(from_source, enqueued), ~is_dead, has_result)
    )


def _was_away(connection: Connection, job_id: int) -> bool:
    letters = _letters(job_id).where(dead_letters.c.reason == SOURCE_UNAVAILABLE)
    return bool(connection.scalar(select(letters.exists())))


def _is_as_planned(connection: Connection, job: AnyRow) -> bool:
    """Say whether the job's sources are still the corpus's, in the versions that its shards have read."""
    planned: set[tuple[int, int]] = set()
    statement = select(shards.c.pieces).where(
        shards.c.job_id == job.id, shards.c.kind == "map", shards.c.state != ShardState.SPLIT
    )
    for pieces in connection.scalars(statement.execution_options(yield_per=1000)):
        planned.update((source_id, version) for source_id, _, _, version in json.loads(pieces).get("files", ()))
    current = select(sources.c.id, sources.c.version).where(
        sources.c.corpus_id == job.corpus_id, sources.c.position < job.below_position
    )
    return planned == {(row.id, row.version) for row in connection.execute(current)}


def jobs_that_do_not_add_up(connection: Connection) -> Sequence[int]:
    """Return the finished jobs whose figures were found wrong when they ended, or are wrong now; reads counters."""
    lost = func.sum(job_progress.c.documents_in - job_progress.c.results - job_progress.c.dead)
    wrong_now = (
        select(job_progress.c.job_id)
        .where(job_progress.c.kind == "map")
        .group_by(job_progress.c.job_id)
        .having(lost != 0)
    )
    statement = (
        select(jobs.c.id)
        .where(jobs.c.state.in_(COMPLETE_JOB_STATES))
        .where(or_(jobs.c.reason.is_not(None), jobs.c.id.in_(wrong_now)))
        .order_by(jobs.c.id)
    )
    return connection.scalars(statement).all()
