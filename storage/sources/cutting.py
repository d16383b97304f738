"""Cuts a source into the ranges that shards read. Reads as little as the format allows, and no documents."""

from __future__ import annotations

from collections.abc import Iterable

from storage.sources.byte_stream import unavailable_is_transient
from storage.sources.csv_frames import DELIMITERS, frame_records
from storage.sources.csv_table import read_header
from storage.sources.encodings import source_encoding
from storage.sources.formats import DOCUMENT_FORMATS, TABLE_FORMATS
from storage.sources.frame import NO_END
from storage.sources.parquet_file import BrokenParquetError, opened_parquet, row_group_sizes
from storage.sources.record import ReaderOptions
from storage.sources.web_request import file_state, is_web
from storage.sources.window import window_at

#: A source in one piece, from its beginning to wherever it ends.
WHOLE = (0, -1)


def cut(uri: str, size: int, options: ReaderOptions, shard_bytes: int) -> list[tuple[int, int]]:
    """Return ranges `(offset, length)` of about `shard_bytes` each that cover a source of `size` bytes.

    Lines are cut anywhere, since a range reads the records that start in it; CSV only at the start of records, which
    costs one pass; Parquet between row groups, in rows. What cannot be cut is `[(0, -1)]`: one document a file,
    compressed sources, and files of a web server that gives them from the beginning on alone, or does not say when they
    have changed. Raises `SourceUnavailableError`.
    """
    if options.format in DOCUMENT_FORMATS or options.compression or not _is_divisible(uri):
        return [WHOLE]
    if options.format == "parquet":
        return _row_ranges(uri, options, shard_bytes)
    if size <= shard_bytes:
        return [WHOLE]
    if options.format in TABLE_FORMATS:
        return _ranges(_record_starts(uri, options, shard_bytes), size)
    return _ranges(range(shard_bytes, size, shard_bytes), size)


def _is_divisible(uri: str) -> bool:
    if not is_web(uri):
        return True
    with unavailable_is_transient(uri):
        state = file_state(uri)
    # Without a version, each look whether it has changed reads all of it.
    return state.has_ranges and bool(state.version)


def _ranges(inner_starts: Iterable[int], end: int) -> list[tuple[int, int]]:
    starts = [0, *inner_starts]
    return [(start, stop - start) for start, stop in zip(starts, [*starts[1:], end], strict=True)]


def _record_starts(uri: str, options: ReaderOptions, shard_bytes: int) -> list[int]:
    """Return the first record start at or behind every multiple of `shard_bytes`."""
    header = read_header(uri, options, source_encoding(uri, options))
    window = window_at(uri, options, header.end)
    starts: list[int] = []
    due = max(shard_bytes, header.end + 1)
    for frame in frame_records(window, NO_END, options.max_record_bytes, DELIMITERS[options.format]):
        if frame.offset >= due:
            starts.append(frame.offset)
            due = (frame.offset // shard_bytes + 1) * shard_bytes
    return starts


def _row_ranges(uri: str, options: ReaderOptions, shard_bytes: int) -> list[tuple[int, int]]:
    starts: list[int] = []
    rows = filled_bytes = 0
    try:
        with opened_parquet(uri, options) as parquet:
            for group_rows, group_bytes in row_group_sizes(uri, parquet):
                if filled_bytes and filled_bytes + group_bytes > shard_bytes:
                    starts.append(rows)
                    filled_bytes = 0
                filled_bytes += group_bytes
                rows += group_rows
    except BrokenParquetError:
        # The reader says what is wrong with it.
        return [WHOLE]
    return _ranges(starts, rows) if starts else [WHOLE]
