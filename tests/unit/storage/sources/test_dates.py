"""Which month a date field names, in every format that has fields."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from storage.errors import UsageError
from storage.sources import ListingOptions, ReaderOptions, Record, content_digest, list_sources, read
from storage.sources.dates import UNDATED, month_of

JULY: list[object] = [
    *("2024-07-08", "2024-07-08T23:59:59+08:00", "2024-07-08 12:00", "2024-07-08Z", " 2024-7-8\n", "2024-07"),
    *("2024/7/8", "2024.07.08", "20240708", "20240708T1200Z", "20240708120000"),
    *("2024年7月8日", "2024 年 07 月", "2024年7月上旬", "２０２４年７月８日"),
    *("1720396800", "1720396800000", "1720396800.25", 1720396800, 1720396800.5, 1720396800_000, 1720396800_000_000_000),
    *(20240708, 20240708.0),
]
NO_DATES: list[object] = [
    *("", "2024", "202407", "07/08/2024", "2024-13-01", "2024-02-30", "2024-00", "0000-01-01", "2024-07-08-001"),
    *("昨天", "12345678901234567890123", f"2024-07-08 {'。' * 60}", None, True, [], {"year": 2024}, b"2024-07-08"),
    *(2024, 202407, -1720396800, 0, 10**400, 1e300, float("nan"), float("inf"), 20241301),
]
CHINA = timezone(timedelta(hours=8))


@pytest.mark.parametrize("value", JULY, ids=repr)
def test_a_date_is_understood_as_people_write_it(value: object) -> None:
    assert month_of(value) == 202407


@pytest.mark.parametrize("value", NO_DATES, ids=lambda value: repr(value)[:30])
def test_what_is_no_date_is_no_fault(value: object) -> None:
    assert month_of(value) == UNDATED


def months_of(path: Path, options: ReaderOptions) -> list[int]:
    found = list(read(str(path), options))
    assert all(isinstance(record, Record) for record in found)
    return [record.month for record in found if isinstance(record, Record)]


def test_lines_of_json_are_dated_or_not(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    values: list[dict[str, Any]] = [{"on": "2024-07-08"}, {}, {"on": None}, {"on": 1720396800}, {"on": {"year": 2024}}]
    file.write_text("\n".join(json.dumps({"text": "甲", **value}) for value in values), encoding="utf-8")
    assert months_of(file, ReaderOptions("jsonl", date_field="on")) == [202407, 0, 0, 202407, 0]
    assert months_of(file, ReaderOptions("jsonl")) == [0] * 5


def test_rows_of_csv_are_dated_or_not(tmp_path: Path) -> None:
    file = tmp_path / "a.tsv"
    file.write_text('日期\ttext\n2024年7月8日\t甲\n\t乙\n"2024-07-08 10:00"\t丙\n', encoding="utf-8")
    assert months_of(file, ReaderOptions("tsv", date_field="日期")) == [202407, 0, 202407]


PARQUET = {
    "days": pa.array([date(2024, 7, 8), None]),
    "milliseconds of days": pa.array([date(2024, 7, 8), None], pa.date64()),
    "instants": pa.array([datetime(2024, 7, 31, 23, tzinfo=UTC).replace(tzinfo=None), None], pa.timestamp("ns")),
    # In China it is August already.
    "instants of a zone": pa.array([datetime(2024, 8, 1, 3, tzinfo=CHINA), None], pa.timestamp("us", "Asia/Shanghai")),
    "strings": pa.array(["2024-07-08", "昨天"]),
    "a dictionary": pa.array(["2024-07-08", None]).dictionary_encode(),
    "broken strings": pa.array([b"2024-07-08", b"\xff\xfe"]),
    "whole numbers": pa.array([1720396800, None]),
    "numbers": pa.array([20240708.0, None]),
}


@pytest.mark.parametrize("values", PARQUET.values(), ids=PARQUET)
def test_rows_of_parquet_are_dated_by_any_kind_of_column(values: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    write_table(pa.table({"text": ["甲", "乙"], "on": values}), file)
    assert months_of(file, ReaderOptions("parquet", date_field="on")) == [202407, 0]
    assert months_of(file, ReaderOptions("parquet")) == [0, 0]


def test_a_column_of_parquet_that_holds_no_dates_makes_documents_without_dates(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    odd = {"lists": [[2024], None], "flags": [True, None], "parts": [{"year": 2024}, None]}
    write_table(pa.table({"text": ["甲", "乙"], **odd}), file)
    for name in odd:
        assert months_of(file, ReaderOptions("parquet", date_field=name)) == [0, 0]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_table_without_the_date_column_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    if file.suffix == ".csv":
        file.write_text("text,on\n甲,2024-07-08\n", encoding="utf-8")
    else:
        write_table(pa.table({"text": ["甲"], "on": ["2024-07-08"]}), file)
    with pytest.raises(UsageError, match=r"no column 'day'; its columns are: text, on\. .*--date-field"):
        list(list_sources([str(file)], ListingOptions(date_field="day"), stdin_dir=tmp_path))


def test_who_names_no_date_field_reads_as_before_there_were_any(tmp_path: Path) -> None:
    assert "date" not in ReaderOptions("jsonl").to_json()
    dated = ReaderOptions("jsonl", date_field="on")
    assert ReaderOptions.from_json(dated.to_json()) == dated
    (tmp_path / "a.txt").write_text("甲", encoding="utf-8")
    (found,) = list_sources([str(tmp_path)], ListingOptions(date_field="on"), stdin_dir=tmp_path)
    assert found.options.date_field is None, "a text file has no fields"


def test_dates_are_part_of_what_a_range_of_rows_says(tmp_path: Path) -> None:
    options = ReaderOptions("parquet", date_field="on")
    digests = set()
    for number, day in enumerate(["2024-07-08", "2024-08-08"]):
        file = tmp_path / f"{number}.parquet"
        write_table(pa.table({"text": ["甲", "乙"], "on": [day, day]}), file)
        digests.add(content_digest(str(file), options, 0, 1))
        digests.add(content_digest(str(file), ReaderOptions("parquet"), 0, 1))
    assert len(digests) == 3
