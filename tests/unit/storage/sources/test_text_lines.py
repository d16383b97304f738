"""One document a line."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from storage.sources import BadRecord, ReaderOptions, Record, read

LINES = ReaderOptions("lines")


def _texts(path: Path, data: bytes, options: ReaderOptions = LINES) -> list[str]:
    path.write_bytes(data)
    return [
        record.text if isinstance(record, Record) else f"<{record.reason} {record.line}>"
        for record in read(str(path), options)
    ]


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ("甲\n乙\n".encode(), ["甲", "乙"]),
        ("甲\r\n\r\n\n乙".encode(), ["甲", "乙"]),
        ("\ufeff甲\n".encode(), ["甲"]),
        ("甲\n\ufeff乙".encode(), ["甲", "\ufeff乙"]),
        ("\ufeff\n甲\n".encode(), ["甲"]),
        (b" \n\xe3\x80\x80\n", [" ", "　"]),
        (b"a\rb\n", ["a\rb"]),
        (b"", []),
        (b"\n\n", []),
        (b"a\n\xff\nb\n\x00\nc", ["a", "<undecodable 2>", "b", "<nul 4>", "c"]),
    ],
)
def test_lines_are_taken_as_they_are(tmp_path: Path, data: bytes, texts: list[str]) -> None:
    assert _texts(tmp_path / "a.txt", data) == texts


def test_gb18030_is_decoded_line_by_line(tmp_path: Path) -> None:
    data = "中文，新闻\n鿿䶮𠀀\n".encode("gb18030")
    assert _texts(tmp_path / "a.txt", data, ReaderOptions("lines", encoding="gb18030")) == ["中文，新闻", "鿿䶮𠀀"]


def test_a_line_of_twenty_megabytes_is_skipped_in_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"a\n" + b"x" * 20_000_000 + b"\nb\n")
    tracemalloc.start()
    try:
        records = list(read(str(path), ReaderOptions("lines", max_record_bytes=100_000)))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    first, bad, last = records
    assert isinstance(bad, BadRecord)
    assert (bad.offset, bad.length, bad.reason, bad.line) == (2, 20_000_001, "too_long", 2)
    assert [record.text for record in (first, last) if isinstance(record, Record)] == ["a", "b"]
    assert peak_bytes < 6_000_000


def test_a_record_of_exactly_the_limit_is_read(tmp_path: Path) -> None:
    options = ReaderOptions("lines", max_record_bytes=4)
    assert _texts(tmp_path / "a.txt", b"abc\nabcd\nabcd", options) == ["abc", "<too_long 2>", "abcd"]
