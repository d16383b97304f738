"""The figures of a corpus, counted and summed by the program itself, against a serial reader; on both databases."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Table, delete, func, select, update

from storage import corpus_figures
from storage.corpora import corpus_id_of
from storage.corpus_figures import DocumentRows, GrowthPoint, LengthBin, MonthFigures, PartitionFigures, Totals
from storage.engine import reading, transact
from storage.figure_tables import corpus_months, document_lengths, vocabulary_growth, word_counts_by_month
from storage.schema import partial_counts, shards
from storage.sources import ListingOptions, ReaderOptions, Record
from storage.sources import read as read_source
from storage.word_counts import by_count, current_generation
from tasks.count.shard_counts import COUNT_SCHEMA, PARTIAL_FORMAT_KEY, UNDATED_FORMAT, decode_partial, encode_partial
from tests.support.builders import call
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of
from tests.support.reference import serial_counts, serial_tokens
from workers.run_shard import run_shard

DATED = ListingOptions(date_field="on")
#: Every other one without a date; the texts are long, short, equal and empty.
DAYS = ("2023-12-31", None, "2024年1月2日", "soon", "20240131", 2024, 1709251200, "")
MONTHS = (202312, 0, 202401, 0, 202401, 0, 202403, 0)
TEXTS = (
    "明月几时有，把酒问青天。",
    "不知天上宫阙，今夕是何年。" * 9,
    "我欲乘风归去",
    "",
    "又恐琼楼玉宇，高处不胜寒。" * 40,
)
#: (month, text).
RECORDS = [(MONTHS[number % 8], f"{TEXTS[number % 5]}{'起舞' * (number % 3)}{number // 7}") for number in range(80)]


@pytest.fixture
def mill(database_url: str, home: Path) -> Iterator[InlineMill]:
    """Return a mill whose merges have several partitions."""
    with open_mill(home, database_url, merge_words=1000) as made:
        yield made


@pytest.fixture
def sqlite_mill(sqlite_url: str, home: Path) -> Iterator[InlineMill]:
    """Return a mill on SQLite, for what does not depend on the database."""
    with open_mill(home, sqlite_url, merge_words=1000) as made:
        yield made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with the records in order."""
    path = tmp_path / "records.jsonl"
    days = [{} if DAYS[number % 8] is None else {"on": DAYS[number % 8]} for number in range(len(RECORDS))]
    lines = [
        json.dumps({"text": text, **day}, ensure_ascii=False) for (_, text), day in zip(RECORDS, days, strict=True)
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def counted(mill: InlineMill, file: Path, listing: ListingOptions = DATED, shard_bytes: int = 8192) -> int:
    """Count a file as a corpus, in several shards, and return its generation."""
    mill.run([file], "c", "count", listing=listing, shard_bytes=shard_bytes)
    with reading(mill.parts.engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, "c"))
    assert generation is not None
    return generation


def read(mill: InlineMill, name: str, generation: int, *arguments: Any) -> Any:
    with reading(mill.parts.engine) as connection:
        return getattr(corpus_figures, name)(connection, generation, *arguments)


def serial_months() -> list[MonthFigures]:
    return [
        MonthFigures(
            month,
            len(texts := [text for of_month, text in RECORDS if of_month == month]),
            sum(map(len, serial_tokens(texts))),
            sum(map(len, texts)),
        )
        for month in sorted(set(MONTHS))
    ]


def serial_histogram() -> dict[int, int]:
    lengths = (str(len(text)) for _, text in RECORDS)
    return Counter(int(length[:2] + "0" * (len(length) - 2)) for length in lengths)


def test_the_figures_of_a_dated_corpus_are_those_of_a_serial_reader(mill: InlineMill, file: Path) -> None:
    generation = counted(mill, file)
    months = serial_months()
    serial = serial_counts(text for _, text in RECORDS)
    assert read(mill, "by_month", generation) == months
    assert read(mill, "totals", generation) == Totals(
        documents=len(RECORDS),
        tokens=sum(month.tokens for month in months),
        words=len(serial),
        characters=sum(len(text) for _, text in RECORDS),
        undated=len(RECORDS) // 2,
    )
    bins = read(mill, "length_histogram", generation)
    assert {found.from_chars: found.documents for found in bins} == serial_histogram()
    assert bins == sorted(bins)
    assert {found for found in bins if found.from_chars >= 100} >= {LengthBin(520, 529, 16)}
    by_month = {
        month: serial_counts(text for of_month, text in RECORDS if of_month == month) for month in sorted(set(MONTHS))
    }
    assert read(mill, "words_by_month", generation, [*serial, "没有"]) == {
        **{word: {month: counts[word][0] for month, counts in by_month.items() if word in counts} for word in serial},
        "没有": {},
    }


def test_the_vocabulary_grows_by_shards_in_their_order(mill: InlineMill, file: Path) -> None:
    generation = counted(mill, file)
    with reading(mill.parts.engine) as connection:
        of_maps = select(shards.c.pieces).where(shards.c.kind == "map").order_by(shards.c.id)
        pieces = [json.loads(text)["files"] for text in connection.scalars(of_maps)]
        partitions = set(connection.scalars(select(vocabulary_growth.c.partition)))
    assert len(pieces) > 3
    assert len(partitions) > 1
    options = ReaderOptions("jsonl")
    texts: list[str] = []
    expected = []
    for ((_, offset, length, _),) in pieces:
        texts += [found.text for found in read_source(str(file), options, offset, length) if isinstance(found, Record)]
        counts = serial_counts(texts)
        expected.append(GrowthPoint(sum(count for count, _ in counts.values()), len(counts)))
    assert read(mill, "vocabulary_growth", generation) == expected


def test_months_and_lengths_do_not_depend_on_the_shards(sqlite_mill: InlineMill, file: Path) -> None:
    many = counted(sqlite_mill, file)
    moved = file.rename(file.with_name("again.jsonl"))
    sqlite_mill.run([moved], "whole", "count", listing=DATED, shard_bytes=10**6)
    with reading(sqlite_mill.parts.engine) as connection:
        whole = current_generation(connection, corpus_id_of(connection, "whole"))
    assert whole is not None
    words = list(serial_counts(text for _, text in RECORDS))
    for name in ("totals", "by_month", "length_histogram"):
        assert read(sqlite_mill, name, many) == read(sqlite_mill, name, whole)
    assert read(sqlite_mill, "words_by_month", many, words) == read(sqlite_mill, "words_by_month", whole, words)
    growth = read(sqlite_mill, "vocabulary_growth", many)
    assert len(growth) > 3
    assert growth[-1:] == read(sqlite_mill, "vocabulary_growth", whole)


def test_a_corpus_without_dates_has_figures_and_no_months(mill: InlineMill, file: Path) -> None:
    generation = counted(mill, file, ListingOptions())
    (undated,) = read(mill, "by_month", generation)
    assert (undated.month, undated.documents) == (0, len(RECORDS))
    assert read(mill, "totals", generation).undated == len(RECORDS)
    assert read(mill, "words_by_month", generation, ["明月"]) == {"明月": {}}
    with reading(mill.parts.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(word_counts_by_month)) == 0


def test_naming_a_date_field_counts_what_is_known_anew(sqlite_mill: InlineMill, file: Path) -> None:
    before = counted(sqlite_mill, file, ListingOptions())
    after = counted(sqlite_mill, file)
    assert after != before
    assert read(sqlite_mill, "by_month", after) == serial_months()
    assert counted(sqlite_mill, file) == after


def test_a_corpus_that_grew_has_new_figures_beside_the_old(sqlite_mill: InlineMill, file: Path) -> None:
    before = counted(sqlite_mill, file)
    more = file.with_name("more.jsonl")
    # One record cannot be read, and one is of a month that was there.
    more.write_text('{"text": "明月", "on": "2024-03-02"}\n{broken\n', encoding="utf-8")
    (job_id,) = sqlite_mill.run([more], "c", "count", listing=DATED)
    assert view_of(sqlite_mill, job_id)["reused"] > 0
    after = read(sqlite_mill, "totals", before + 1)
    assert (after.documents, after.undated) == (len(RECORDS) + 1, len(RECORDS) // 2)
    assert read(sqlite_mill, "words_by_month", before + 1, ["明月"])["明月"][202403] == 1 + in_march("明月")
    assert read(sqlite_mill, "by_month", before) == serial_months()


def in_march(word: str) -> int:
    return serial_counts(text for month, text in RECORDS if month == 202403)[word][0]


def test_a_second_writing_of_a_partition_takes_the_place_of_the_first(mill: InlineMill, file: Path) -> None:
    generation = counted(mill, file)
    tables = (corpus_months, document_lengths, vocabulary_growth, word_counts_by_month)
    before = {table.name: rows_of(mill, table) for table in tables}
    figures = PartitionFigures(
        lambda: [(0, 0, 1, 1)], [GrowthPoint(3, 1)], DocumentRows([MonthFigures(0, 1, 3, 5)], [(0, LengthBin(5, 5, 1))])
    )
    for _ in range(2):
        call(mill.parts.engine, corpus_figures.replace_figures, generation, 0, figures)
    after = {table.name: rows_of(mill, table) for table in tables}
    assert after["corpus_months"] == [(generation, 0, 1, 3, 5)]
    assert after["document_lengths"] == [(generation, 0, 5, 5, 1)]
    for name in ("vocabulary_growth", "word_counts_by_month"):
        others = [row for row in before[name] if row[1] != 0]
        assert [row for row in after[name] if row[1] != 0] == others
        assert len(after[name]) == len(others) + 1


def rows_of(mill: InlineMill, table: Table) -> list[tuple[Any, ...]]:
    with reading(mill.parts.engine) as connection:
        return sorted(tuple(row) for row in connection.execute(select(table)))


# --- what a version without figures has left


def test_figures_that_a_partition_lacks_are_none(mill: InlineMill, file: Path) -> None:
    generation = counted(mill, file)
    growth = vocabulary_growth.c
    of_one = delete(vocabulary_growth).where(growth.generation_id == generation, growth.partition == 1)
    transact(mill.parts.engine, lambda connection: connection.execute(of_one))
    assert_no_figures(mill, generation)
    assert_no_figures(mill, generation + 1)


def test_a_shard_that_an_earlier_version_counted_leaves_words_and_no_figures(
    sqlite_mill: InlineMill, file: Path
) -> None:
    sqlite_mill.submit([file], "c", "count", shard_bytes=8192)
    while len(sqlite_mill.messages) > 1:
        run_shard(sqlite_mill.parts, sqlite_mill.messages.pop(0)[0], "inline@test/1/1")
    transact(sqlite_mill.parts.engine, without_figures)
    sqlite_mill.work()
    with reading(sqlite_mill.parts.engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, "c"))
        assert generation is not None
        counts = {word: (count, documents) for word, count, documents in by_count(connection, generation)}
    assert counts == serial_counts(text for _, text in RECORDS)
    assert_no_figures(sqlite_mill, generation)


def without_figures(connection: Connection) -> None:
    """Make every partial count that there is one of the format before figures."""
    places = [partial_counts.c[name] for name in ("digest", "fingerprint", "partitions", "partition")]
    earlier = COUNT_SCHEMA.with_metadata({PARTIAL_FORMAT_KEY: UNDATED_FORMAT})
    for *place, data in connection.execute(select(*places, partial_counts.c.data)).all():
        (rows,) = decode_partial(bytes(data)).to_batches()
        blob = encode_partial(rows.replace_schema_metadata(earlier.metadata))
        of_place = [column == value for column, value in zip(places, place, strict=True)]
        connection.execute(update(partial_counts).where(*of_place).values(data=blob))


def assert_no_figures(mill: InlineMill, generation: int) -> None:
    assert read(mill, "has_figures", generation) is False
    assert read(mill, "totals", generation) is None
    assert read(mill, "vocabulary_growth", generation) == []
    assert read(mill, "words_by_month", generation, ["明月"]) == {"明月": {}}
