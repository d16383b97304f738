"""The word counts of two generations side by side, in code point order of the words. Computes nothing of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, literal, select, union_all
from sqlalchemy.sql import func

from storage.engine import sort_on_disk
from storage.schema import corpora, generations, jobs, word_counts


class PairedCounts(NamedTuple):
    """One word with its counts and document frequencies in two corpora; one of the counts may be 0."""

    word: str
    count_a: int
    documents_a: int
    count_b: int
    documents_b: int


@dataclass(frozen=True, slots=True)
class CountedCorpus:
    """Whose counts a generation holds, and by which options."""

    generation_id: int
    corpus: str
    fingerprint: str
    parameters: Mapping[str, Any]


def counted_corpus(connection: Connection, generation_id: int) -> CountedCorpus:
    """Return what a published generation is of."""
    statement = (
        select(corpora.c.name, generations.c.fingerprint, jobs.c.parameters)
        .join(generations, generations.c.corpus_id == corpora.c.id)
        .join(jobs, jobs.c.id == generations.c.job_id)
        .where(generations.c.id == generation_id)
    )
    name, fingerprint, parameters = connection.execute(statement).one()
    return CountedCorpus(generation_id, name, fingerprint, json.loads(parameters))


def published_fingerprints(connection: Connection, corpus: str) -> set[str]:
    """Return the fingerprints of all word counts that a corpus has."""
    statement = (
        select(generations.c.fingerprint)
        .join(corpora, corpora.c.id == generations.c.corpus_id)
        .join(jobs, jobs.c.id == generations.c.job_id)
        .where(corpora.c.name == corpus, generations.c.published_at.is_not(None), jobs.c.operation == "count")
    )
    return set(connection.scalars(statement))


def word_totals(connection: Connection, generation_id: int) -> Iterator[tuple[str, int]]:
    """Yield (word, count) of a generation in no order."""
    statement = select(word_counts.c.word, word_counts.c.count).where(word_counts.c.generation_id == generation_id)
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from rows


def side_by_side(connection: Connection, generation_a: int, generation_b: int) -> Iterator[PairedCounts]:
    """Yield every word of two generations with the counts of both.

    The database sorts, on its disk where it must; nothing is held here but the rows on their way.
    """
    sort_on_disk(connection)
    columns = (word_counts.c.count, word_counts.c.documents)
    none = (literal(0, BigInteger), literal(0, BigInteger))
    of_a = select(word_counts.c.word, *_named("a", columns), *_named("b", none))
    of_b = select(word_counts.c.word, *_named("a", none), *_named("b", columns))
    both = union_all(
        of_a.where(word_counts.c.generation_id == generation_a), of_b.where(word_counts.c.generation_id == generation_b)
    ).subquery()
    # A word has one row in a generation: the larger of a count and nothing is the count.
    counts = [func.max(both.c[name]) for name in PairedCounts._fields[1:]]
    statement = select(both.c.word, *counts).group_by(both.c.word).order_by(both.c.word)
    with connection.execute(statement.execution_options(yield_per=2000)) as rows:
        yield from map(PairedCounts._make, rows)


def _named(corpus: str, columns: tuple[Any, Any]) -> Iterator[Any]:
    return (column.label(f"{name}_{corpus}") for name, column in zip(("count", "documents"), columns, strict=True))
