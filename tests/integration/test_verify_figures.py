"""`hanmill verify` of what is counted by month, and of the figures besides words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, func, select, update

from storage.engine import transact
from storage.figure_tables import corpus_months, document_lengths, vocabulary_growth, word_counts_by_month
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill
from workers.verification.job import verify_job

#: Every third without a date; shards have several.
TEXTS = [
    f"第{number}届博览会在上海开幕，来自各国的{number * 3}家企业参加了展览。" * (number % 4) for number in range(24)
]
SHARD_BYTES = 1600
Change = Callable[[Connection], object]


@pytest.fixture
def mill(home: Path, sqlite_url: str) -> Iterator[InlineMill]:
    with open_mill(home, sqlite_url, merge_words=100) as made:
        yield made


@pytest.fixture
def job_id(mill: InlineMill, tmp_path: Path) -> int:
    """Return a job that has counted the texts by month."""
    records = [
        {"text": text, "on": f"2024-{number % 3:02}-15" if number % 3 else None} for number, text in enumerate(TEXTS)
    ]
    source = tmp_path / "records.jsonl"
    source.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    (found,) = mill.run([source], "c", "count", listing=ListingOptions(date_field="on"), shard_bytes=SHARD_BYTES)
    return found


def test_a_correct_job_by_month_has_no_differences(mill: InlineMill, job_id: int) -> None:
    report = verify_job(mill.parts, job_id, None, 1)
    assert (report.differences, report.left_out) == ([], [])
    assert report.shards > 2
    assert {"months", "lengths", "growth", "counts"} <= set(report.compared)


def more_of_a_word_in_a_month(connection: Connection) -> None:
    columns = word_counts_by_month.c
    of_one = (columns.month == 202401) & (columns.position == 0) & (columns.partition == 0)
    assert connection.execute(update(word_counts_by_month).where(of_one).values(count=columns.count + 1)).rowcount == 1


def another_month(connection: Connection) -> None:
    months = update(word_counts_by_month).where(word_counts_by_month.c.month == 202401)
    connection.execute(months.values(month=202403))


def fewer_documents_of_a_month(connection: Connection) -> None:
    connection.execute(update(corpus_months).values(documents=corpus_months.c.documents - 1))


def another_length(connection: Connection) -> None:
    connection.execute(update(document_lengths).values(from_chars=document_lengths.c.from_chars + 1000))


def words_met_earlier(connection: Connection) -> None:
    step = vocabulary_growth.c.step
    connection.execute(delete(vocabulary_growth).where(step == select(func.max(step)).scalar_subquery()))


def no_figures(connection: Connection) -> None:
    for table in (corpus_months, document_lengths, vocabulary_growth):
        connection.execute(delete(table))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (more_of_a_word_in_a_month, {"counts"}),
        (another_month, {"counts", "document frequencies"}),
        (fewer_documents_of_a_month, {"months"}),
        (another_length, {"lengths"}),
        (words_met_earlier, {"growth"}),
        (no_figures, {"months", "lengths", "growth"}),
    ],
)
def test_what_is_altered_of_the_figures_is_found(mill: InlineMill, job_id: int, change: Change, what: set[str]) -> None:
    transact(mill.parts.engine, change)
    report = verify_job(mill.parts, job_id, None, 1)
    assert {difference.what for difference in report.differences} == what
