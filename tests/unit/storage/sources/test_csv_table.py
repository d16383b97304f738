"""One document a row of CSV or TSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from storage.sources import BadRecord, ReaderOptions, Record, content_digest, cut, read

PLAIN = ReaderOptions("csv")


def _read(tmp_path: Path, data: bytes, options: ReaderOptions = PLAIN) -> list[Record | BadRecord]:
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    return list(read(str(path), options))


def _texts(records: list[Record | BadRecord]) -> list[str]:
    return [record.text if isinstance(record, Record) else f"<{record.reason} {record.line}>" for record in records]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        (b"", []),
        (b"text\n", []),
        (b"id,text\n1,a\n2,b", ["a", "b"]),
        (b'\xef\xbb\xbf"text",id\r\na,1\r\n\r\n"",2\r\n', ["a", ""]),
        ('id,text\n1,"第一段\n\n第二段，""引"""\n'.encode(), ['第一段\n\n第二段，"引"']),
        (b"text,text\na,b\n", ["a"]),
        (b"id,text\n1,a,b\n2\n3,c\n", ["<broken_csv 2>", "<missing_field 3>", "c"]),
        (b'id,text\n1,"a\nb"\n2,"c\n3,d\n4,e', ["a\nb", "<broken_csv 4>", "d", "e"]),
        (b'id,text\n1,"a\n\xff"\n2,b\x00\n3,c\n', ["<undecodable 3>", "<nul 4>", "c"]),
        (b"id,body\n1,a\n", ["<missing_field 2>"]),
        (b'"id"x,text\n1,a\n', ["<broken_csv 2>"]),
    ],
)
def test_rows_are_read_and_faults_told(tmp_path: Path, data: bytes, texts: list[str]) -> None:
    assert _texts(_read(tmp_path, data)) == texts


def test_fields_are_found_by_name(tmp_path: Path) -> None:
    options = ReaderOptions("csv", text_field="正文", key_field="编号")
    (record,) = _read(tmp_path, "标题,正文,编号\nx,甲,7\n".encode(), options)
    assert isinstance(record, Record)
    assert (record.key, record.text) == ("7", "甲")


def test_tabs_part_the_fields_of_tsv(tmp_path: Path) -> None:
    (record,) = _read(tmp_path, b'id\ttext\n1\t"a\tb"\n', ReaderOptions("tsv"))
    assert isinstance(record, Record)
    assert record.text == "a\tb"


def test_gb18030_columns_and_cells_are_decoded(tmp_path: Path) -> None:
    options = ReaderOptions("csv", encoding="gb18030", text_field="正文")
    records = _read(tmp_path, '\ufeff"正文",x\n"甲，\n乙",1\n'.encode("gb18030"), options)
    assert _texts(records) == ["甲，\n乙"]


@pytest.mark.parametrize("shard_bytes", [1, 50, 1000, 10**6])
def test_a_table_of_the_standard_library_is_read_back_in_any_shards(tmp_path: Path, shard_bytes: int) -> None:
    texts = [f'第{number}段，"引"\n' * (number % 7) for number in range(60)]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerows([["id", "text"], *enumerate(texts)])
    data = file.getvalue().encode()
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    ranges = cut(str(path), len(data), PLAIN, shard_bytes)
    records = [record for offset, length in ranges for record in read(str(path), PLAIN, offset, length)]
    assert _texts(records) == texts


def test_a_range_has_the_digest_of_its_header_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"text,b\n1,2\n")
    digest = content_digest(str(path), PLAIN, 7, 4)
    path.write_bytes(b"b,text\n1,2\n")
    assert content_digest(str(path), PLAIN, 7, 4) != digest


def test_a_row_that_is_too_long_is_skipped(tmp_path: Path) -> None:
    records = _read(tmp_path, b"text\na\n" + b"x" * 500 + b"\nb\n", ReaderOptions("csv", max_record_bytes=100))
    assert _texts(records) == ["a", "<too_long 3>", "b"]
