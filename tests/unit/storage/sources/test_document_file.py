"""One document a file, and THUCNews's layout."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from storage.sources import BadRecord, ReaderOptions, Record, read

PLAIN = ReaderOptions("txt")


def _read(path: Path, data: bytes, options: ReaderOptions = PLAIN) -> list[Record | BadRecord]:
    path.write_bytes(data)
    return list(read(str(path), options))


def test_a_file_is_one_document_with_its_line_ends_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "新闻　一.txt"
    data = "第一行\r\n第二行\n".encode()
    assert _read(path, data) == [Record(f"{path}@0", "第一行\r\n第二行\n", 0, len(data))]


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf"])
def test_an_empty_file_is_no_document(tmp_path: Path, data: bytes) -> None:
    assert _read(tmp_path / "a.txt", data) == []


def test_only_the_byte_order_mark_at_the_beginning_is_taken_off(tmp_path: Path) -> None:
    (record,) = _read(tmp_path / "a.txt", "\ufeff甲\ufeff乙".encode())
    assert isinstance(record, Record)
    assert record.text == "甲\ufeff乙"


def test_a_document_is_in_the_range_of_its_first_byte(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"abc")
    assert len(list(read(str(path), PLAIN, 0, 1))) == 1
    assert list(read(str(path), PLAIN, 1, -1)) == []


@pytest.mark.parametrize(
    ("data", "reason", "line", "in_detail"),
    [
        ("甲\n乙".encode() + b"\n\xff\xfe", "undecodable", 3, "0xff at offset 8"),
        (b"a\nb\x00", "nul", 2, "offset 3"),
        (b"x" * 101, "too_long", 1, "100 bytes"),
    ],
)
def test_what_is_no_document_says_why_and_where(
    tmp_path: Path, data: bytes, reason: str, line: int, in_detail: str
) -> None:
    (bad,) = _read(tmp_path / "a.txt", data, ReaderOptions("txt", max_record_bytes=100))
    assert isinstance(bad, BadRecord)
    assert (bad.offset, bad.length, bad.reason, bad.line) == (0, len(data), reason, line)
    assert in_detail in bad.detail


def test_of_a_truncated_document_nothing_counts(tmp_path: Path) -> None:
    data = gzip.compress(bytes(range(1, 127)) * 100)[:-20]
    (bad,) = _read(tmp_path / "a.txt.gz", data, ReaderOptions("txt", "gz"))
    assert isinstance(bad, BadRecord)
    assert bad.reason == "truncated"


def test_a_compressed_document_that_is_too_long_is_not_held(tmp_path: Path) -> None:
    data = gzip.compress(b"x" * 5_000_000)
    (bad,) = _read(tmp_path / "a.txt.gz", data, ReaderOptions("txt", "gz", max_record_bytes=1000))
    assert isinstance(bad, BadRecord)
    assert bad.reason == "too_long"


def test_thucnews_gives_title_and_label(tmp_path: Path) -> None:
    (tmp_path / "体育").mkdir()
    path = tmp_path / "体育" / "1.txt"
    (record,) = _read(path, "标题\r\n第一段\n第二段".encode(), ReaderOptions("thucnews"))
    assert isinstance(record, Record)
    assert record.text == "第一段\n第二段"
    assert record.metadata == {"title": "标题", "label": "体育"}
    assert record.key == f"{path}@0"


def test_thucnews_with_a_title_alone_is_a_document_with_an_empty_text(tmp_path: Path) -> None:
    (record,) = _read(tmp_path / "1.txt", "标题".encode(), ReaderOptions("thucnews"))
    assert isinstance(record, Record)
    assert record.text == ""
