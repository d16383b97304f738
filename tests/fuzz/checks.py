"""Holds the readers to their word about one file: nothing escapes, nothing hangs, nothing is silently gone.

Looks at listing, cutting, reading and halving; what the ledger makes of it is looked at in `mill`.
"""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from storage.errors import UsageError
from storage.sources import (
    MAX_KEY_CHARS,
    BadRecord,
    ListedSource,
    Record,
    content_digest,
    cut,
    line_number,
    list_sources,
    read,
    record_offsets,
)
from storage.sources.byte_stream import open_chunks
from storage.sources.csv_table import read_header
from storage.sources.encodings import source_encoding
from storage.sources.faults import BROKEN_PARQUET, REASONS, BrokenStreamError
from tests.fuzz.bad_input import BadInput, Choices
from tests.fuzz.oracle import BAD, EMPTY, NoOpinionError, expected

#: Seconds that one file may take; they take some milliseconds.
LIMIT_S = 20
#: Ranges that a file is cut into at most, about.
MOST_RANGES = 400
_BLANKS = (b"\r", b"\n", b"\t", b" ", b"\xef\xbb\xbf", b"\x84\x31\x95\x33")
Found = list[Record | BadRecord]


class HangError(Exception):
    """A file took longer than any file may."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A file that kept every promise: what was found in it, or why the user is told to look at it first."""

    source: ListedSource | None = None
    found: tuple[Record | BadRecord, ...] = ()
    refusal: str = ""
    is_confirmed: bool = False


@contextmanager
def time_limit(limit_s: int = LIMIT_S) -> Iterator[None]:
    """Raise `HangError` in whatever takes too long. For the main thread; the whole process is watched elsewhere."""

    def ring(number: int, frame: FrameType | None) -> None:
        message = f"no end after {limit_s} s"
        raise HangError(message)

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(limit_s)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(choices: Choices, given: BadInput, folder: Path) -> Judged:
    """Write a file below a folder, and hold it against everything that is promised; raises whatever is wrong."""
    with time_limit():
        try:
            source = _listed(given, folder)
        except UsageError as error:
            return _refused(given, folder, str(error))
        found = list(read(source.uri, source.options))
        for item in found:
            _check_item(source, item)
        _check_ranges(choices, source, found)
        is_table = given.format == "parquet"
        is_confirmed = _check_rows(given, found) if is_table else _check_content(given, source, found)
    return Judged(source, tuple(found), is_confirmed=is_confirmed)


def _refused(given: BadInput, folder: Path, message: str) -> Judged:
    assert str(folder) in message, f"which file is meant? {message}"
    assert given.format in {"csv", "tsv", "parquet"}, f"only columns are looked at before work: {message}"
    return Judged(refusal=message)


def _listed(given: BadInput, folder: Path) -> ListedSource:
    path = folder / "体育" / given.name
    listing = given.listing
    if not given.is_stdin:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(given.data)
        # A tree, a pattern or a name: the same file.
        argument = (str(path.parent), str(folder / "**" / "新闻*"), str(path))[len(given.data) % 3]
        (source,) = list_sources([argument], listing, stdin_dir=folder)
        assert source.uri == str(path)
        return source
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(given.data))
    try:
        chosen = replace(listing, input_format=given.format)
        (source,) = list_sources(["-"], chosen, stdin_dir=folder / "stdin")
    finally:
        sys.stdin = before
    return source


def _check_item(source: ListedSource, item: Record | BadRecord) -> None:
    assert item.offset >= 0
    if isinstance(item, Record):
        assert isinstance(item.text, str)
        assert "\0" not in item.text
        item.text.encode()
        assert 0 < len(item.key) <= MAX_KEY_CHARS
        item.key.encode()
        return
    assert item.reason in REASONS
    assert item.detail
    line = line_number(source.uri, source.options, item.offset)
    # The byte at fault may stand some lines below the beginning of its record.
    assert item.line is None or item.line >= line >= 1, (item, line)


def _check_ranges(choices: Choices, source: ListedSource, found: Found) -> None:
    size = source.size
    # Each range opens the file anew: of a large one some hundred are enough.
    least = 1 + size // MOST_RANGES
    for shard_bytes in {choices.choose((1, 2, 3, 5, 16, 64, 300)) * least, choices.integer(least, size + 1)}:
        ranges = cut(source.uri, size, source.options, shard_bytes)
        _check_tiling(ranges, size, source.options.format)
        pieces = [item for offset, length in ranges for item in read(source.uri, source.options, offset, length)]
        assert _unplaced(pieces) == _unplaced(found), f"cut at {shard_bytes}"
        for offset, length in ranges[:2]:
            content_digest(source.uri, source.options, offset, length)
    starts = record_offsets(source.uri, source.options, 0, -1)
    assert starts == [item.offset for item in found]
    if len(starts) > 1:
        middle = starts[len(starts) // 2]
        halves = ((0, middle), (middle, -1))
        pieces = [item for offset, length in halves for item in read(source.uri, source.options, offset, length)]
        assert _unplaced(pieces) == _unplaced(found), f"halved at {middle}"


def _check_tiling(ranges: list[tuple[int, int]], size: int, format_: str) -> None:
    ends = [offset + length for offset, length in ranges]
    assert [offset for offset, _ in ranges] == [0, *ends[:-1]]
    assert ranges[-1][1] == -1 or ends[-1] == size or format_ == "parquet"


def _unplaced(found: Found) -> list[tuple[object, ...]]:
    """Return what must be the same however a file is cut: all but line numbers, which nobody knows in between."""
    return [
        (item.key, item.text, item.offset, item.length, item.metadata)
        if isinstance(item, Record)
        else (item.key, item.reason, item.detail, item.offset, item.length)
        for item in found
    ]


def _check_content(given: BadInput, source: ListedSource, found: Found) -> bool:
    data, broken = _unpacked(source)
    _check_container(given, data, broken=broken)
    if given.format in {"lines", "jsonl", "csv", "tsv"}:
        _check_nothing_between(source, data, found)
    try:
        wanted = expected(data, source.options, broken=broken)
    except NoOpinionError:
        return False
    texts = [item.text if isinstance(item, Record) else BAD for item in found]
    assert texts == ["" if text == EMPTY else text for text in wanted]
    return True


def _unpacked(source: ListedSource) -> tuple[bytes, bool]:
    data = bytearray()
    position = -1
    try:
        for chunk in open_chunks(source.uri, source.options.compression):
            data += chunk
    except BrokenStreamError as error:
        position = error.position
    assert position in {-1, len(data)}
    return bytes(data), position >= 0


def _check_container(given: BadInput, data: bytes, *, broken: bool) -> None:
    if given.container in {"plain", "whole", "members"}:
        assert (data, broken) == (given.payload, False)
    elif given.container == "cut":
        assert given.payload.startswith(data)
        assert broken or data == given.payload or not given.data
    elif given.container == "trailed":
        assert data == given.payload
        assert broken


def _check_nothing_between(source: ListedSource, data: bytes, found: Found) -> None:
    """Check that every byte is part of one record, or is blank."""
    position = 0
    if source.options.format in {"csv", "tsv"}:
        position = read_header(source.uri, source.options, source_encoding(source.uri, source.options)).end
    for item in found:
        assert item.offset >= position, "two records share bytes"
        assert not _unblanked(data[position : item.offset]), f"bytes {position} to {item.offset} are gone"
        position = item.offset + item.length
    assert not _unblanked(data[position:]), f"bytes from {position} on are gone"


def _unblanked(data: bytes) -> bytes:
    for blank in _BLANKS:
        data = data.replace(blank, b"")
    return data


def _check_rows(given: BadInput, found: Found) -> bool:
    """Check that every row of an undamaged table is there; of a damaged one nothing is known but that it is told."""
    from io import BytesIO  # noqa: PLC0415

    from pyarrow import ArrowException, parquet  # noqa: PLC0415 - a second opinion, for few files

    is_told = any(isinstance(item, BadRecord) and item.reason == BROKEN_PARQUET for item in found)
    if is_told or given.container not in {"plain", "whole", "members"}:
        return False
    try:
        rows = parquet.read_table(BytesIO(given.payload)).num_rows
    except (ArrowException, OSError, ValueError):
        return False
    assert sum(item.length for item in found) == rows
    assert [item.offset for item in found] == list(range(rows))
    return True
