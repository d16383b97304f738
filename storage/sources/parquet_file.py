"""Opens Parquet: its columns, its row groups, its damages. Reads no rows; pyarrow is imported on the first use."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

from storage.errors import SourceUnavailableError
from storage.sources.byte_stream import is_url, open_binary, open_chunks
from storage.sources.record import ReaderOptions


class BrokenParquetError(Exception):
    """The file, or a part of it, is no Parquet that can be read."""


class RowGroup(NamedTuple):
    """A row group: its first row, its rows, and the bytes that its text takes uncompressed."""

    first: int
    rows: int
    text_bytes: int


@contextmanager
def opened_parquet(uri: str, options: ReaderOptions) -> Iterator[Any]:
    """Open a source as a `pyarrow.parquet.ParquetFile`.

    Raises `BrokenParquetError`, `BrokenStreamError` for a compressed one that is cut short, `SourceUnavailableError`.
    """
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - heavy, and only Parquet needs it

    with _seekable(uri, options) as file:
        with damage_is_told(uri):
            # A buffer instead of whole column chunks in memory.
            parquet = ParquetFile(file, buffer_size=1024 * 1024, pre_buffer=False)
        with parquet:
            yield parquet


@contextmanager
def damage_is_told(uri: str) -> Iterator[None]:
    """Turn pyarrow's errors into `BrokenParquetError`, or `SourceUnavailableError` when the system is at fault."""
    from pyarrow import ArrowException  # noqa: PLC0415 - heavy, and only Parquet needs it

    try:
        yield
    except ArrowException as error:
        raise BrokenParquetError(str(error)) from error
    except OSError as error:
        # pyarrow raises OSError for damaged pages too, but then no system call has failed.
        if error.errno is None:
            raise BrokenParquetError(str(error)) from error
        message = f"{uri} cannot be read: {error}"
        raise SourceUnavailableError(message) from error


@contextmanager
def _seekable(uri: str, options: ReaderOptions) -> Iterator[IO[bytes] | str]:
    if options.compression:
        with tempfile.TemporaryFile() as file:
            for chunk in open_chunks(uri, options.compression):
                file.write(chunk)
            file.seek(0)
            yield file
    elif is_url(uri):
        with open_binary(uri) as remote:
            yield remote
    else:
        yield uri


def row_groups(parquet: Any, options: ReaderOptions) -> Iterator[RowGroup]:
    """Yield the row groups of an open file in order."""
    first = 0
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        yield RowGroup(first, group.num_rows, _text_bytes(group, options.text_field))
        first += group.num_rows


def _text_bytes(group: Any, text_field: str) -> int:
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema == text_field)
