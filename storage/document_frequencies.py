"""In how many documents the words of a corpus stand, by its published counts; and which of them were taken for idf.

What was taken stays as it is, however often the corpus is counted, until it is taken again. Computes no idf.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.sql import func

from storage.engine import now, upsert
from storage.progress import sums_of
from storage.schema import generations, idf_tables, jobs, word_counts


@dataclass(frozen=True, slots=True)
class PublishedCounts:
    """A generation of word counts that readers see, and what was asked of the job that made it."""

    generation_id: int
    #: Documents that were counted.
    documents: int
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TakenTable:
    """Document frequencies as they were taken from a corpus's counts."""

    #: Of the table among the resources, in hex.
    digest: str
    #: Documents that had been counted.
    documents: int
    #: Words that the table holds.
    words: int
    generation_id: int


def published_counts(connection: Connection, corpus_id: int) -> Iterator[PublishedCounts]:
    """Yield a corpus's published counts, those of the job that was planned last first, as `top` would show them."""
    statement = (
        select(generations.c.id, generations.c.job_id, jobs.c.parameters)
        .join(jobs, jobs.c.id == generations.c.job_id)
        .where(generations.c.corpus_id == corpus_id, generations.c.published_at.is_not(None))
        # Other operations that merge have generations too, and no words in them.
        .where(jobs.c.operation == "count")
        .order_by(jobs.c.sealed_at.desc(), generations.c.published_at.desc(), generations.c.id.desc())
    )
    for generation_id, job_id, parameters in connection.execute(statement).all():
        documents = sums_of(connection, [job_id])[job_id]["results"]
        yield PublishedCounts(generation_id, documents, json.loads(parameters))


def words_by_frequency(connection: Connection, generation_id: int, least_chars: int) -> list[tuple[int, int]]:
    """Return (documents, words that stand in so many) of words of so many characters or more, the rarest first."""
    statement = (
        select(word_counts.c.documents, func.count())
        .where(word_counts.c.generation_id == generation_id, func.length(word_counts.c.word) >= least_chars)
        .group_by(word_counts.c.documents)
        .order_by(word_counts.c.documents)
    )
    return [(int(documents), int(words)) for documents, words in connection.execute(statement)]


def frequencies(
    connection: Connection, generation_id: int, least_chars: int, least_documents: int
) -> Iterator[tuple[str, int]]:
    """Yield (word, documents) of words of so many characters that stand in so many documents, or more of either."""
    statement = (
        select(word_counts.c.word, word_counts.c.documents)
        .where(word_counts.c.generation_id == generation_id, func.length(word_counts.c.word) >= least_chars)
        .where(word_counts.c.documents >= least_documents)
        # The same counts make the same table to the last byte.
        .order_by(word_counts.c.word)
    )
    with connection.execute(statement.execution_options(yield_per=5000)) as rows:
        yield from rows


def find_taken(connection: Connection, corpus_id: int, segmentation: str) -> TakenTable | None:
    """Return the table that was taken for a corpus and a way of cutting words, if any was."""
    statement = select(
        idf_tables.c.digest, idf_tables.c.documents, idf_tables.c.words, idf_tables.c.generation_id
    ).where(idf_tables.c.corpus_id == corpus_id, idf_tables.c.segmentation == segmentation)
    row = connection.execute(statement).one_or_none()
    return None if row is None else TakenTable(*row)


def take(connection: Connection, corpus_id: int, segmentation: str, taken: TakenTable) -> None:
    """Write down which table holds from now on for a corpus and a way of cutting words."""
    row = {
        "corpus_id": corpus_id,
        "segmentation": segmentation,
        "digest": taken.digest,
        "documents": taken.documents,
        "words": taken.words,
        "generation_id": taken.generation_id,
        "taken_at": connection.scalar(select(now())),
    }
    upsert(connection, idf_tables, [row], ["corpus_id", "segmentation"])
