"""One document a row of Parquet."""

from __future__ import annotations

import gzip
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.sources import BadRecord, ReaderOptions, Record, content_digest, cut, line_number, read, record_offsets
from storage.sources.parquet_file import LARGE_BYTES, BrokenParquetError, _row_group

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


def test_a_column_whose_name_is_no_text_is_damage(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": ["甲"], "other": ["乙"]})
    data = Path(uri).read_bytes()
    Path(uri).write_bytes(data.replace(b"other", b"oth\xffr"))
    (record,) = read(uri, ReaderOptions("parquet"))
    assert isinstance(record, BadRecord)
    assert record.reason == "broken_parquet"


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


def test_a_value_that_unpacks_to_far_more_than_its_size_is_not_unpacked(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.parquet")
    texts = ["甲", "x" * (LARGE_BYTES + 1), "乙"]
    pq.write_table(pa.table({"text": texts}), uri, row_group_size=1, compression="zstd")
    first, bomb, last = read(uri, PLAIN)
    assert isinstance(bomb, BadRecord)
    assert (bomb.reason, bomb.offset, bomb.length) == ("too_long", 1, 1)
    assert "more than 200 times" in bomb.detail
    assert isinstance(first, Record)
    assert isinstance(last, Record)


def test_a_compressed_parquet_that_unpacks_without_end_is_given_up(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet.gz"
    path.write_bytes(gzip.compress(b"\0" * (LARGE_BYTES + 2 * 1024**2)))
    (bad,) = read(str(path), ReaderOptions("parquet", "gz"))
    assert isinstance(bad, BadRecord)
    assert bad.reason == "broken_parquet"
    assert "times its size" in bad.detail


def test_rows_that_repeat_one_long_value_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    value = "文" * 400_000
    path = tmp_path / "a.parquet"
    repeated = pa.DictionaryArray.from_arrays(pa.array([0] * 2000, pa.int32()), pa.array([value]))
    pq.write_table(pa.table({"text": repeated}), path)
    before = pa.total_allocated_bytes()
    most = 0
    for record in islice(read(str(path), PLAIN), 60):
        assert isinstance(record, Record)
        most = max(most, pa.total_allocated_bytes() - before)
    assert 0 < most < 512 * 1024**2


def test_metadata_that_are_damaged_behind_the_schema_are_told(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": ["甲"], "other": ["乙"]})
    data = Path(uri).read_bytes()
    # The last mention of the column is the one among the metadata of its row group.
    head, _, tail = data.rpartition(b"other")
    at = head.rpartition(b"other")
    Path(uri).write_bytes(at[0] + b"oth\xffr" + at[2] + b"other" + tail)
    found = list(read(uri, PLAIN))
    assert [type(item) for item in found] == [BadRecord]


def test_a_file_that_names_more_rows_than_it_has_values_is_told_at_once(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": ["甲", "乙", "丙"]}, group_rows=3)
    group = SimpleNamespace(num_rows=2**40, num_columns=1, column=pq.ParquetFile(uri).metadata.row_group(0).column)
    with pytest.raises(BrokenParquetError, match="has 3 values"):
        _row_group(group, {"text": 0}, 0, PLAIN)


def test_columns_that_are_not_read_are_not_looked_at(tmp_path: Path) -> None:
    # With damaged metadata of a nested column pyarrow ends the process, whoever asks for it.
    uri = _write(tmp_path / "a.parquet", {"nested": ["乙"], "text": ["甲"]})
    whole = pq.ParquetFile(uri).metadata.row_group(0)
    asked: list[int] = []

    def column(place: int) -> Any:
        asked.append(place)
        return whole.column(place)

    group = SimpleNamespace(num_rows=1, num_columns=2, column=column)
    assert _row_group(group, {"nested": 0, "text": 1}, 5, PLAIN).first == 5
    assert asked == [1]


def test_metadata_that_end_the_process_that_looks_at_them_end_neither_planning_nor_reading(tmp_path: Path) -> None:
    uri = _write(tmp_path / "a.parquet", {"text": ["甲", None]})
    data = Path(uri).read_bytes()
    # The column's element in the schema: it may be empty no more, and its histogram of empty values does not fit.
    optional, required = b"\x25\x02\x18\x04text", b"\x25\x00\x18\x04text"
    assert data.count(optional) == 1
    Path(uri).write_bytes(data.replace(optional, required))
    program = (
        "import sys; from storage.sources.cutting import cut; from storage.sources.record import ReaderOptions;"
        "from storage.sources.parquet_rows import read_rows; options = ReaderOptions('parquet');"
        "print(cut(sys.argv[1], 500, options, 100));"
        "print([record.reason for record in read_rows(sys.argv[1], options, 0, -1)])"
    )
    done = subprocess.run([sys.executable, "-c", program, uri], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[(0, -1)]\n['broken_parquet']\n"), done.stderr
