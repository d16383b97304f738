"""Properties that every format keeps: ranges that tile a source read every record once, and nothing ever raises."""

from __future__ import annotations

import bz2
import gzip
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.errors import SourceUnavailableError
from storage.sources import (
    BadRecord,
    Compression,
    Format,
    ReaderOptions,
    Record,
    byte_stream,
    content_digest,
    csv_table,
    cut,
    line_number,
    read,
)
from storage.sources.reading import record_offsets

COMPRESS: dict[Compression, Callable[[bytes], bytes]] = {
    "": bytes,
    "gz": gzip.compress,
    "zst": zstandard.compress,
    "bz2": bz2.compress,
}
FRAMED: list[Format] = ["lines", "jsonl", "csv", "tsv"]
#: Small pieces that make every kind of trouble at once when they are put together by chance.
PIECES = st.sampled_from(
    [
        b"\n",
        b"\r\n",
        b"\r",
        b'"',
        b'""',
        b",",
        b"\t",
        b'{"text": "\xe4\xb8\xad"}\n',
        b'{"id": 7, "text": ""}',
        b'"a\n\xe6\x96\x87",b\n',
        b"x,y\n",
        b'"q"z,1\n',
        b"\x00",
        b"\xff",
        "中文".encode(),
        "中文，“新”".encode("gb18030"),
        b"a" * 40,
        b"\xef\xbb\xbf",
        b"text,id\n",
        b"id\ttext\n",
    ]
)
CONTENTS = st.lists(PIECES, max_size=40).map(b"".join)
ENCODINGS = st.sampled_from(["utf-8", "gb18030", "auto"])
FAST = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with tempfile.NamedTemporaryFile(dir=tmp_path) as file:
        yield Path(file.name)


@pytest.fixture(params=[None, 7], ids=["chunks of a megabyte", "chunks of seven bytes"], autouse=True)
def chunk_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param:
        for module, name in [
            (byte_stream, "CHUNK_BYTES"),
            (byte_stream, "LEAST_CHUNK_BYTES"),
            (csv_table, "LEAST_CHUNK_BYTES"),
        ]:
            monkeypatch.setattr(module, name, request.param)


def _options(of_format: Format, encoding: str = "utf-8", compression: Compression = "") -> ReaderOptions:
    return ReaderOptions(of_format, compression, encoding, key_field=None, max_record_bytes=64)


def _without_lines(records: list[Record | BadRecord]) -> list[Record | tuple[object, ...]]:
    """Only whoever reads from the beginning knows lines."""
    return [
        record
        if isinstance(record, Record)
        else (record.offset, record.length, record.reason, record.detail, record.key)
        for record in records
    ]


def _read_ranges(uri: str, options: ReaderOptions, ranges: list[tuple[int, int]]) -> list[Record | BadRecord]:
    return [record for offset, length in ranges for record in read(uri, options, offset, length)]


@pytest.mark.parametrize("of_format", FRAMED)
@FAST
@given(content=CONTENTS, encoding=ENCODINGS, shard_bytes=st.integers(1, 60))
def test_ranges_of_any_size_read_what_the_whole_reads(
    place: Path, of_format: Format, content: bytes, encoding: str, shard_bytes: int
) -> None:
    place.write_bytes(content)
    options = _options(of_format, encoding)
    ranges = cut(str(place), len(content), options, shard_bytes)
    whole = list(read(str(place), options))
    assert _without_lines(_read_ranges(str(place), options, ranges)) == _without_lines(whole)


@pytest.mark.parametrize("of_format", ["lines", "jsonl"])
@FAST
@given(content=CONTENTS, at=st.integers(0, 100))
def test_lines_may_be_cut_at_any_byte(place: Path, of_format: Format, content: bytes, at: int) -> None:
    place.write_bytes(content)
    options = _options(of_format)
    halves = _read_ranges(str(place), options, [(0, at), (at, -1)])
    assert _without_lines(halves) == _without_lines(list(read(str(place), options)))


@pytest.mark.parametrize("compression", list(COMPRESS))
@pytest.mark.parametrize("of_format", FRAMED)
@FAST
@given(content=CONTENTS, part=st.integers(0, 20), lost=st.integers(0, 30))
def test_halves_at_a_record_read_what_the_whole_reads(
    place: Path, of_format: Format, compression: Compression, content: bytes, part: int, lost: int
) -> None:
    data = COMPRESS[compression](content)
    place.write_bytes(data[: len(data) - lost] if part % 2 else data)
    options = _options(of_format, compression=compression)
    whole = list(read(str(place), options))
    offsets = record_offsets(str(place), options, 0, -1)
    assert offsets == [record.offset for record in whole]
    assert len(set(offsets)) == len(offsets)
    if offsets:
        middle = offsets[part % len(offsets)]
        halves = _read_ranges(str(place), options, [(0, middle), (middle, -1)])
        assert _without_lines(halves) == _without_lines(whole)


@pytest.mark.parametrize("of_format", FRAMED)
@FAST
@given(content=CONTENTS, encoding=ENCODINGS)
def test_every_record_can_be_read_again_by_its_address(
    place: Path, of_format: Format, content: bytes, encoding: str
) -> None:
    place.write_bytes(content)
    options = _options(of_format, encoding)
    for record in read(str(place), options):
        again = list(read(str(place), options, record.offset, record.length))
        assert _without_lines(again) == _without_lines([record])


@pytest.mark.parametrize("of_format", ["txt", "thucnews", "lines", "jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("compression", list(COMPRESS))
@settings(FAST, max_examples=15)
@given(content=st.binary(max_size=200) | CONTENTS, encoding=ENCODINGS)
def test_no_bytes_make_reading_fail(
    place: Path, of_format: Format, compression: Compression, content: bytes, encoding: str
) -> None:
    place.write_bytes(content)
    options = _options(of_format, encoding, compression)
    for record in read(str(place), options):
        assert record.offset >= 0
    assert len(content_digest(str(place), options, 0, -1)) == 32
    assert len(content_digest(str(place), options, 0, 50)) == 32
    cut(str(place), len(content), options, 10)


@pytest.mark.parametrize("of_format", FRAMED)
@FAST
@given(content=CONTENTS)
def test_the_line_of_a_fault_is_the_same_whoever_counts_it(place: Path, of_format: Format, content: bytes) -> None:
    place.write_bytes(content)
    options = _options(of_format)
    for record in read(str(place), options):
        if isinstance(record, BadRecord):
            assert record.line is not None
            first = line_number(str(place), options, record.offset)
            last = line_number(str(place), options, record.offset + record.length - 1)
            assert first <= record.line <= last


@pytest.mark.parametrize("of_format", FRAMED)
@FAST
@given(content=CONTENTS, extra=st.sampled_from([b"", b"z", b"\n", b'"']), shard_bytes=st.integers(1, 60))
def test_equal_digests_mean_equal_records(
    place: Path, of_format: Format, content: bytes, extra: bytes, shard_bytes: int
) -> None:
    options = _options(of_format)
    uri = str(place)
    answers: dict[bytes, object] = {}
    for data in (content, content + extra, extra + content):
        place.write_bytes(data)
        for offset, length in cut(uri, len(data), options, shard_bytes):
            said = [
                record.text if isinstance(record, Record) else record.reason
                for record in read(uri, options, offset, length)
            ]
            assert answers.setdefault(content_digest(uri, options, offset, length), said) == said


def test_two_equal_files_have_one_digest_and_other_options_another(tmp_path: Path) -> None:
    first, second = tmp_path / "一.jsonl", tmp_path / "二.jsonl"
    for file in (first, second):
        file.write_text('{"text": "新闻"}\n' * 3, encoding="utf-8")
    options = _options("jsonl")
    for offset, length in [(0, -1), (0, 20), (20, 10)]:
        digest = content_digest(str(first), options, offset, length)
        assert content_digest(str(second), options, offset, length) == digest
        other = ReaderOptions("jsonl", text_field="body", max_record_bytes=64)
        assert content_digest(str(second), other, offset, length) != digest


@pytest.mark.parametrize("of_format", ["txt", "lines", "jsonl", "csv", "parquet"])
@pytest.mark.parametrize("compression", ["", "gz"])
def test_a_source_that_is_gone_is_unavailable(tmp_path: Path, of_format: Format, compression: Compression) -> None:
    gone = str(tmp_path / "gone")
    options = _options(of_format, compression=compression)
    with pytest.raises(SourceUnavailableError, match="gone"):
        list(read(gone, options))
    with pytest.raises(SourceUnavailableError, match="gone"):
        content_digest(gone, options, 0, -1)
    with pytest.raises(SourceUnavailableError, match="gone"):
        line_number(gone, _options("lines"), 5)
