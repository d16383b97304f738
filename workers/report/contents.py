"""What a report is made of: figures, rows and texts, as they were read. Draws nothing and asks nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from workers.report.shapes import PowerLaw


class WordRow(NamedTuple):
    """A token with its counts; `rank` is its place among the words, null when it has no letter, digit or ideograph."""

    rank: int | None
    word: str
    occurrences: int
    documents: int


class PeriodFigures(NamedTuple):
    """What a month (202407), or a year (2024), of a corpus holds."""

    period: int
    documents: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Words:
    """The word counts of a corpus: of which job, what they sum up to, and the most frequent of them."""

    job_id: int
    fingerprint: str
    parameters: Mapping[str, Any]
    tokens: int
    distinct: int
    rows: Sequence[WordRow]
    #: (rank, count) at ranks whose logarithms lie evenly.
    ranks: Sequence[tuple[int, int]]
    zipf: PowerLaw | None
    #: Words that occur once.
    hapaxes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """Distinct words by tokens, both cumulative, in the order of months or of shards."""

    points: Sequence[tuple[int, int]]
    heaps: PowerLaw | None
    by_month: bool


@dataclass(frozen=True, slots=True)
class Lengths:
    """How many documents are how long: (from, to, documents), in characters, both ends included."""

    bins: Sequence[tuple[int, int, int]]
    #: Documents that are longer than the last bin.
    longer: int
    documents: int
    characters: int
    median_from: int
    median_to: int


@dataclass(frozen=True, slots=True)
class Times:
    """How a corpus is spread over time, and its words."""

    by_year: bool
    periods: Sequence[PeriodFigures]
    undated: int
    #: (word, its count in every period).
    words: Sequence[tuple[str, Sequence[int]]]
    #: The words whose share changes the most, in that order.
    changing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Labels:
    """How often each label was decided, and how often two of them together."""

    documents: int
    counts: Sequence[tuple[str, int]]
    #: The labels of the table of pairs, the most frequent ones.
    paired: Sequence[str]
    pairs: Mapping[tuple[str, str], int]


class Stretch(NamedTuple):
    """A part of a text, marked where a summary was taken from it."""

    text: str
    is_marked: bool


@dataclass(frozen=True, slots=True)
class Sample:
    """A summary beside its text; the text is missing, with the reason, when its source has changed."""

    key: str
    summary: str
    stretches: Sequence[Stretch]
    #: Characters of the text, and how many of them are left out.
    characters: int
    left_out: int
    fault: str | None


@dataclass(frozen=True, slots=True)
class Summaries:
    """How many documents have a summary, and some of them."""

    documents: int
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Letters:
    """What was set aside: how much for which reason, and the first of it with place."""

    standing: int
    reasons: Sequence[tuple[str, int]]
    first: Sequence[Any]


@dataclass(frozen=True, slots=True)
class JobRun:
    """How one job ran: its figures, its attempts, and what its shards took."""

    view: Mapping[str, Any]
    attempts: Sequence[tuple[str | None, int]]
    #: (begin, end, documents a second), seconds from the first lease on.
    throughput: Sequence[tuple[float, float, float]]
    #: (from, to, shards), in seconds.
    durations: Sequence[tuple[float, float, int]]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a page shows; what the corpus has nothing of is null."""

    corpus: str
    sources: int
    source_bytes: int
    #: Documents that the counts, or the rows of documents, are about.
    documents: int
    words: Words | None
    growth: Growth | None
    lengths: Lengths | None
    times: Times | None
    labels: Labels | None
    summaries: Summaries | None
    letters: Letters
    runs: Sequence[JobRun]
