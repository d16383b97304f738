"""One document a row of Parquet."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.sources import BadRecord, ReaderOptions, Record, content_digest, cut, line_number, read, record_offsets

PLAIN = ReaderOptions("parquet")
TEXTS = [f"第{number}篇" * 20 for number in range(2500)]


def _write(path: Path, columns: dict[str, Any], group_rows: int = 1000) -> str:
    pq.write_table(pa.table(columns), path, row_group_size=group_rows, compression="snappy")
    return str(path)


@pytest.mark.parametrize(
    "kind", [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_strings_of_every_kind_are_texts(tmp_path: Path, kind: Any) -> None:
    uri = _write(tmp_path / "a.parquet", {"id": [7, 8], "text": pa.array(["甲", ""], pa.string()).cast(kind)})
    assert list(read(uri, ReaderOptions("parquet", key_field="id"))) == [Record("7", "甲", 0, 1), Record("8", "", 1, 1)]


@pytest.mark.parametrize("shard_bytes", [1, 100_000, 10**9])
def test_ranges_are_rows_that_tile_the_file(tmp_path: Path, shard_bytes: int) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": TEXTS})
    ranges = cut(uri, Path(uri).stat().st_size, PLAIN, shard_bytes)
    records = [record for offset, length in ranges for record in read(uri, PLAIN, offset, length)]
    assert [record.text for record in records if isinstance(record, Record)] == TEXTS
    assert [record.offset for record in records] == list(range(2500))
    assert ranges == ([(0, 1000), (1000, 1000), (2000, 500)] if shard_bytes < 10**9 else [(0, -1)])


def test_rows_can_be_halved_anywhere(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": TEXTS})
    assert record_offsets(uri, PLAIN, 990, 100, limit=3) == [990, 991, 992]
    halves = [*read(uri, PLAIN, 0, 1234), *read(uri, PLAIN, 1234, -1)]
    assert halves == list(read(uri, PLAIN))
    assert content_digest(uri, PLAIN, 0, 1234) != content_digest(uri, PLAIN, 1234, 1234)
    assert line_number(uri, PLAIN, 1234) == 1235


def test_bad_values_are_told_by_row(tmp_path: Path) -> None:
    texts = pa.array([b"a", None, b"\xff", b"x\0", b"y" * 200], pa.binary())
    uri = _write(tmp_path / "a.parquet", {"text": texts})
    first, *bad = read(uri, ReaderOptions("parquet", max_record_bytes=100))
    assert isinstance(first, Record)
    told = [(record.offset, record.reason, record.line) for record in bad if isinstance(record, BadRecord)]
    assert told == [(1, "not_a_string", 2), (2, "undecodable", 3), (3, "nul", 4), (4, "too_long", 5)]


def test_columns_that_are_missing_or_no_strings_are_told(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"n": [1], "list": [["a"]], "body": ["a"]})
    for column, reason in [("text", "missing_field"), ("n", "not_a_string"), ("list", "not_a_string")]:
        (bad,) = read(uri, ReaderOptions("parquet", text_field=column))
        assert isinstance(bad, BadRecord)
        assert bad.reason == reason


def test_a_damaged_page_costs_the_rest_of_its_row_group(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": TEXTS})
    data = bytearray(Path(uri).read_bytes())
    at = pq.ParquetFile(uri).metadata.row_group(1).column(0).dictionary_page_offset
    data[at : at + 8] = b"\xff" * 8
    Path(uri).write_bytes(data)
    records = list(read(uri, PLAIN))
    (bad,) = [record for record in records if isinstance(record, BadRecord)]
    assert (bad.offset, bad.length, bad.reason) == (1000, 1000, "broken_parquet")
    assert len(records) == 1501
    assert [*read(uri, PLAIN, 0, 1000), *read(uri, PLAIN, 1000, -1)] == records


@pytest.mark.parametrize("data", [b"", b"PAR1", b"no parquet at all"])
def test_what_is_no_parquet_is_one_dead_letter(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    (bad,) = read(str(path), PLAIN)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "broken_parquet"
    assert cut(str(path), 10**9, PLAIN, 1) == [(0, -1)]


def test_compressed_parquet_is_read_from_a_copy(tmp_path: Path) -> None:
    plain = Path(_write(tmp_path / "a.parquet", {"text": TEXTS}))
    packed = tmp_path / "a.parquet.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    options = ReaderOptions("parquet", "gz")
    assert len(list(read(str(packed), options))) == 2500
    packed.write_bytes(packed.read_bytes()[:100])
    (bad,) = read(str(packed), options)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "truncated"
