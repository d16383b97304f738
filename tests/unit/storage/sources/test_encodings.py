"""Encodings: names, the guess, and one answer for every range."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.sources import ReaderOptions, Record, cut, read
from storage.sources.encodings import encoding_name, guess_encoding


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("UTF8", "utf-8"),
        ("utf-8-sig", "utf-8"),
        ("GBK", "gbk"),
        ("GB18030", "gb18030"),
        ("gb2312", "gb2312"),
        ("Big5", "big5"),
        ("AUTO", "auto"),
        ("utf-16", None),
        ("latin-1", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_encodings_have_one_name(given: str, name: str | None) -> None:
    assert encoding_name(given) == name


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (b"", "utf-8"),
        ("中文".encode(), "utf-8"),
        ("中文".encode()[:-1], "utf-8"),
        ("中文".encode("gb18030"), "gb18030"),
        (b"\xef\xbb\xbf" + b"\xff", "utf-8"),
        (b"a" * 1024 * 1024 + b"\xff", "utf-8"),
    ],
)
def test_the_beginning_decides_the_encoding(data: bytes, encoding: str) -> None:
    assert guess_encoding(data) == encoding


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_every_range_of_a_file_gets_the_same_guess(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "a.txt"
    lines = ["中文", *["abc"] * 50, "新闻"]
    data = "\n".join(lines).encode(encoding)
    path.write_bytes(data)
    options = ReaderOptions("lines", encoding="auto")
    ranges = cut(str(path), len(data), options, 20)
    records = [record for offset, length in ranges for record in read(str(path), options, offset, length)]
    assert [record.text for record in records if isinstance(record, Record)] == lines
