"""What a corpus looks like besides its words, by generation: months, lengths, the growth of its vocabulary.

Written by the merges that write its word counts, in the same transactions. A month is 202407 for July 2024, and 0 for
documents without a date; lengths are in characters (code points). How the vocabulary grows depends on where the corpus
was cut into shards, and on their order; everything else is the same however it was cut and whoever counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, NamedTuple

from sqlalchemy import Connection, Table, delete, select
from sqlalchemy.sql import func

from storage import figure_tables
from storage.engine import AnyRow, load_rows
from storage.figure_tables import corpus_months, document_lengths, word_counts_by_month
from storage.schema import word_counts

#: Words looked up by one statement.
CHUNK = 500
# The function that reads it has its name.
_growth = figure_tables.vocabulary_growth


class Totals(NamedTuple):
    """What a corpus adds up to; `words` are distinct, `undated` are documents."""

    documents: int
    tokens: int
    words: int
    characters: int
    undated: int


class LengthBin(NamedTuple):
    """Documents of some lengths, both ends included."""

    from_chars: int
    to_chars: int
    documents: int


class GrowthPoint(NamedTuple):
    """How many distinct words there are among so many tokens."""

    tokens: int
    words: int


class MonthFigures(NamedTuple):
    """What the documents of a month add up to."""

    month: int
    documents: int
    tokens: int
    characters: int


@dataclass(frozen=True, slots=True)
class DocumentRows:
    """What is known of all documents of a generation."""

    months: Sequence[MonthFigures]
    #: (month, bin).
    lengths: Sequence[tuple[int, LengthBin]]


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """What the merge of one partition knows besides its words."""

    #: Yields (position of the word, month, count, documents) whenever it is called; nothing without dates.
    month_rows: Callable[[], Iterable[tuple[int, ...]]]
    #: Of each step, in order: its tokens, of all partitions, and the words of this one that are new in it.
    growth: Sequence[GrowthPoint]
    #: With partition 0 alone.
    documents: DocumentRows | None = None


def replace_figures(connection: Connection, generation_id: int, partition: int, figures: PartitionFigures) -> None:
    """Write the figures of one partition of a generation in place of what stands there."""
    if partition == 0:
        for table in (corpus_months, document_lengths):
            connection.execute(delete(table).where(table.c.generation_id == generation_id))
    for table in (_growth, word_counts_by_month):
        of_partition = (table.c.generation_id == generation_id) & (table.c.partition == partition)
        connection.execute(delete(table).where(of_partition))
    place = (generation_id, partition)
    growth = ((*place, step, *point) for step, point in enumerate(figures.growth))
    _load(connection, _growth, growth)
    _load(connection, word_counts_by_month, ((*place, *row) for row in figures.month_rows()))
    if figures.documents is not None:
        _load(connection, corpus_months, ((generation_id, *row) for row in figures.documents.months))
        lengths = ((generation_id, month, *found) for month, found in figures.documents.lengths)
        _load(connection, document_lengths, lengths)


def _load(connection: Connection, table: Table, rows: Iterable[tuple[Any, ...]]) -> None:
    load_rows(connection, table, table.columns.keys(), rows)


def has_figures(connection: Connection, generation_id: int) -> bool:
    """Say whether the figures of a generation are there; not if a version without them summed any part of it."""
    growth = _growth.c
    new_words = select(func.sum(growth.words)).where(growth.generation_id == generation_id)
    rows = select(func.count()).where(word_counts.c.generation_id == generation_id)
    first = select(growth.step).where(growth.generation_id == generation_id, growth.partition == 0)
    # Partition 0 counts its words without its documents where it met a shard without figures: then no step is there.
    return connection.scalar(new_words) == connection.scalar(rows) and bool(connection.scalar(select(first.exists())))


def totals(connection: Connection, generation_id: int) -> Totals | None:
    """Return what a corpus adds up to, None when its figures are not there."""
    if not has_figures(connection, generation_id):
        return None
    months = by_month(connection, generation_id)
    words = connection.scalar(select(func.sum(_growth.c.words)).where(_growth.c.generation_id == generation_id))
    return Totals(
        documents=sum(month.documents for month in months),
        tokens=sum(month.tokens for month in months),
        words=int(words or 0),
        characters=sum(month.characters for month in months),
        undated=sum(month.documents for month in months if month.month == 0),
    )


def by_month(connection: Connection, generation_id: int) -> list[MonthFigures]:
    """Return each month that has a document, in order, undated ones (month 0) first."""
    columns = corpus_months.c
    statement = (
        select(columns.month, columns.documents, columns.tokens, columns.characters)
        .where(columns.generation_id == generation_id)
        .order_by(columns.month)
    )
    return [MonthFigures(*row) for row in connection.execute(statement)]


def length_histogram(connection: Connection, generation_id: int) -> list[LengthBin]:
    """Return the lengths of all documents in order: exact below 100 characters, of two digits above (1200 to 1299)."""
    columns = document_lengths.c
    statement = (
        select(columns.from_chars, columns.to_chars, func.sum(columns.documents))
        .where(columns.generation_id == generation_id)
        .group_by(columns.from_chars, columns.to_chars)
        .order_by(columns.from_chars)
    )
    return [LengthBin(shortest, longest, int(number)) for shortest, longest, number in connection.execute(statement)]


def vocabulary_growth(connection: Connection, generation_id: int) -> list[GrowthPoint]:
    """Return how many tokens and how many distinct words there are up to each step, of some shards each, exactly."""
    if not has_figures(connection, generation_id):
        return []
    growth = _growth.c
    statement = (
        select(func.max(growth.tokens), func.sum(growth.words))
        .where(growth.generation_id == generation_id)
        .group_by(growth.step)
        .order_by(growth.step)
    )
    steps = [(int(tokens), int(words)) for tokens, words in connection.execute(statement)]
    cumulative = accumulate(steps, lambda before, step: (before[0] + step[0], before[1] + step[1]))
    return [GrowthPoint(*sums) for sums in cumulative]


def words_by_month(connection: Connection, generation_id: int, words: Sequence[str]) -> dict[str, dict[int, int]]:
    """Return how often each of some words stands in each month; nothing for a word or a corpus without months."""
    found: dict[str, dict[int, int]] = {word: {} for word in words}
    if not has_figures(connection, generation_id):
        return found
    # One after the other: joined, SQLite reads all months of all words.
    for word, partition, position in _places_of(connection, generation_id, list(found)):
        columns = word_counts_by_month.c
        of_word = (columns.partition == partition) & (columns.position == position)
        statement = select(columns.month, columns.count).where(columns.generation_id == generation_id, of_word)
        for month, count in connection.execute(statement.order_by(columns.month)):
            found[word][month] = count
    return found


def _places_of(connection: Connection, generation_id: int, words: Sequence[str]) -> list[AnyRow]:
    columns = word_counts.c
    places: list[AnyRow] = []
    for start in range(0, len(words), CHUNK):
        statement = select(columns.word, columns.partition, columns.position).where(
            columns.generation_id == generation_id, columns.word.in_(words[start : start + CHUNK])
        )
        places += connection.execute(statement)
    return places
