"""Ranges of sources."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.sources import Format, ReaderOptions, cut


@pytest.mark.parametrize("of_format", ["lines", "jsonl"])
def test_lines_are_cut_by_arithmetic_without_being_read(of_format: Format) -> None:
    assert cut("/not/there", 10, ReaderOptions(of_format), 4) == [(0, 4), (4, 4), (8, 2)]
    assert cut("/not/there", 8, ReaderOptions(of_format), 4) == [(0, 4), (4, 4)]
    assert cut("/not/there", 4, ReaderOptions(of_format), 4) == [(0, -1)]


@pytest.mark.parametrize(
    "options",
    [ReaderOptions("txt"), ReaderOptions("thucnews"), ReaderOptions("jsonl", "gz"), ReaderOptions("csv", "bz2")],
)
def test_what_cannot_be_cut_is_streamed(options: ReaderOptions) -> None:
    assert cut("/not/there", 10**9, options, 1000) == [(0, -1)]


def test_csv_is_cut_where_records_start(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = b'id,text\n1,"a\nb\nc"\n2,d\n3,e\n'
    path.write_bytes(data)
    assert cut(str(path), len(data), ReaderOptions("csv"), 10) == [(0, 18), (18, 4), (22, 4)]
    assert cut(str(path), len(data), ReaderOptions("csv"), 1) == [(0, 18), (18, 4), (22, 4)]
    assert cut(str(path), len(data), ReaderOptions("csv"), 20) == [(0, 22), (22, 4)]
