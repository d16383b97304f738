"""Compressed sources: members, padding, damage."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from storage.sources import BadRecord, Compression, ReaderOptions, Record, read, record_offsets
from storage.sources.byte_stream import open_chunks

COMPRESSIONS: list[tuple[Compression, Callable[[bytes], bytes]]] = [
    ("gz", gzip.compress),
    ("bz2", bz2.compress),
    ("zst", zstandard.compress),
]
WORDS = random.Random(1)
LINES = [f"第{number}行 {WORDS.random()}" for number in range(20_000)]
TEXT = "\n".join(LINES).encode() + b"\n"
every_compression = pytest.mark.parametrize(("compression", "compress"), COMPRESSIONS)


def _read(tmp_path: Path, compression: Compression, data: bytes) -> list[Record | BadRecord]:
    path = tmp_path / "a"
    path.write_bytes(data)
    return list(read(str(path), ReaderOptions("lines", compression)))


@every_compression
def test_members_one_after_another_are_one_stream(
    tmp_path: Path, compression: Compression, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(TEXT[:5000]) + compress(b"") + compress(TEXT[5000:]) + b"\0" * 10_000
    records = _read(tmp_path, compression, data)
    assert [record.text for record in records if isinstance(record, Record)] == LINES
    assert len(records) == len(LINES)


@every_compression
def test_an_empty_file_has_no_documents(
    tmp_path: Path, compression: Compression, compress: Callable[[bytes], bytes]
) -> None:
    assert _read(tmp_path, compression, b"") == []
    assert _read(tmp_path, compression, compress(b"")) == []


@every_compression
def test_of_a_truncated_file_whole_records_count_and_one_letter_stands_for_the_rest(
    tmp_path: Path, compression: Compression, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(TEXT[:300_000]) + compress(TEXT[300_000:])
    *records, bad = _read(tmp_path, compression, data[: len(data) * 3 // 4])
    assert isinstance(bad, BadRecord)
    assert bad.reason == "truncated"
    texts = [record.text for record in records if isinstance(record, Record)]
    assert texts == LINES[: len(records)]
    assert len(records) > 1000
    assert bad.line == len(records) + 1
    assert record_offsets(str(tmp_path / "a"), ReaderOptions("lines", compression), bad.offset, -1) == [bad.offset]


@every_compression
def test_damage_and_trailing_garbage_are_one_letter(
    tmp_path: Path, compression: Compression, compress: Callable[[bytes], bytes]
) -> None:
    *records, bad = _read(tmp_path, compression, compress(TEXT) + lzma.compress(b"something else"))
    assert len(records) == len(LINES)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.offset) == ("truncated", len(TEXT))


def test_a_bomb_comes_out_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"\0" * 50_000_000))
    sizes = [len(chunk) for chunk in open_chunks(str(path), "gz")]
    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 2 * 1024 * 1024


@every_compression
def test_a_stream_can_be_entered_at_any_byte(
    tmp_path: Path, compression: Compression, compress: Callable[[bytes], bytes]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(compress(TEXT))
    for start in (0, 1, 4096, 123_457, len(TEXT), len(TEXT) + 5):
        assert b"".join(open_chunks(str(path), compression, start)) == TEXT[start:]
