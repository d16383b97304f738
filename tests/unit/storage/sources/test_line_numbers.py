"""Lines of byte offsets."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from storage.sources import ReaderOptions, line_number

DATA = b"a\nbc\n\nd"


@pytest.mark.parametrize(("offset", "line"), [(0, 1), (1, 1), (2, 2), (4, 2), (5, 3), (6, 4), (100, 4)])
def test_a_byte_stands_in_the_line_of_the_line_feeds_before_it(tmp_path: Path, offset: int, line: int) -> None:
    plain, packed = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    plain.write_bytes(DATA)
    packed.write_bytes(gzip.compress(DATA))
    assert line_number(str(plain), ReaderOptions("jsonl"), offset) == line
    assert line_number(str(packed), ReaderOptions("jsonl", "gz"), offset) == line
    assert line_number(str(plain), ReaderOptions("jsonl"), offset, (2, 2)) == max(line, 2)


def test_of_a_truncated_source_the_lines_that_are_there_count(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(DATA)[:-8])
    assert line_number(str(path), ReaderOptions("jsonl", "gz"), 6) == 4
