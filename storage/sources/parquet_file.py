"""Opens Parquet: its columns, its row groups, its damages. Reads no rows; pyarrow is imported on the first use."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, NamedTuple

from storage.errors import SourceUnavailableError
from storage.sources.byte_stream import is_url, open_binary, open_chunks, unavailable_is_transient
from storage.sources.record import ReaderOptions
from storage.sources.source_stamp import source_stamp
from storage.sources.web_request import file_state, is_web


class BrokenParquetError(Exception):
    """The file, or a part of it, is no Parquet that can be read."""


#: What unpacks to more than this, …
LARGE_BYTES = 64 * 1024 * 1024
#: … and to more than so many times its size, is no text but a bomb: text shrinks to a third, or a tenth.
MOST_SHRUNK = 200


class RowGroup(NamedTuple):
    """A row group: its first row, its rows, the bytes that its text takes unpacked, and what is to be feared of it.

    `dictionary_bytes` is about what the distinct values of a column take that is stored as a dictionary: a row may be
    as long as all of them. `fault` says why nothing of the group is to be read, empty when it can be.
    """

    first: int
    rows: int
    text_bytes: int
    dictionary_bytes: int = 0
    fault: str = ""


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
    except (ArrowException, ValueError) as error:
        # ValueError: of a column's name that is not UTF-8.
        raise BrokenParquetError(str(error)) from error
    except OSError as error:
        # pyarrow raises OSError for damaged pages too, but then no system call has failed.
        if error.errno is None:
            raise BrokenParquetError(str(error)) from error
        message = f"{uri} cannot be read: {error}"
        raise SourceUnavailableError(message) from error


@contextmanager
def _seekable(uri: str, options: ReaderOptions) -> Iterator[IO[bytes] | str]:
    if options.compression or _is_streamed(uri):
        with tempfile.TemporaryFile() as file:
            most_bytes = _most_unpacked_bytes(uri) if options.compression else 0
            for chunk in open_chunks(uri, options.compression):
                file.write(chunk)
                if most_bytes and file.tell() > most_bytes:
                    message = f"it unpacks to more than {most_bytes} bytes, {MOST_SHRUNK} times its size"
                    raise BrokenParquetError(message)
            file.seek(0)
            yield file
    elif is_url(uri):
        with open_binary(uri) as remote:
            yield remote
    else:
        yield uri


def _is_streamed(uri: str) -> bool:
    """Tell whether a source comes from its beginning on alone."""
    if not is_web(uri):
        return False
    with unavailable_is_transient(uri):
        return not file_state(uri).has_ranges


def _most_unpacked_bytes(uri: str) -> int:
    return max(LARGE_BYTES, MOST_SHRUNK * source_stamp(uri)[0])


def row_group_sizes(uri: str, parquet: Any) -> list[tuple[int, int]]:
    """Return rows and bytes unpacked, of all columns, of each row group of an open file; raises `BrokenParquetError`.

    Looks at no column, whose damaged metadata may end the process (pyarrow 26, std::terminate): who plans is nobody's
    child, and nobody starts it again. A reader is a worker's, and what ends it is set aside.
    """
    with damage_is_told(uri):
        groups = [parquet.metadata.row_group(number) for number in range(parquet.num_row_groups)]
        sizes = [(group.num_rows, group.total_byte_size) for group in groups]
        rows = parquet.metadata.num_rows
    if min(map(min, sizes), default=0) < 0 or sum(rows for rows, _ in sizes) != rows:
        message = f"its metadata name {rows} rows, and row groups of (rows, bytes) {sizes[:9]}"
        raise BrokenParquetError(message)
    return sizes


def row_groups(uri: str, parquet: Any, options: ReaderOptions) -> list[RowGroup]:
    """Return the row groups of an open file in order; raises `BrokenParquetError`."""
    groups: list[RowGroup] = []
    first = 0
    with damage_is_told(uri):
        places = {parquet.schema.column(place).path: place for place in range(len(parquet.schema))}
        for number in range(parquet.num_row_groups):
            _check_columns(parquet, number, [name for name in _fields_read(options) if name in places])
            groups.append(_row_group(parquet.metadata.row_group(number), places, first, options))
            first += groups[-1].rows
    if first != parquet.metadata.num_rows:
        message = f"its metadata name {parquet.metadata.num_rows} rows, and its row groups {first}"
        raise BrokenParquetError(message)
    return groups


def _fields_read(options: ReaderOptions) -> list[str]:
    return [name for name in (options.text_field, options.key_field, options.date_field) if name is not None]


class _PagesWantedError(Exception):
    """A page is to be read: everything that is said about it has been understood."""


class _NoPages(io.RawIOBase):
    """A file that is large enough for every page, and gives none."""

    _place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset if whence == io.SEEK_SET else 2**62
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int = -1) -> bytes:  # noqa: ARG002 - it gives none, however few
        raise _PagesWantedError


def _check_columns(parquet: Any, number: int, names: list[str]) -> None:
    """Raise pyarrow's error when it does not understand what a row group's metadata say of some columns.

    To ask for such a column's metadata ends the whole process (pyarrow 26, std::terminate); to read it raises, before
    the first of its pages is looked at, and so a file without any is read.
    """
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415 - heavy, and only Parquet needs it

    for name in names:
        with suppress(_PagesWantedError), ParquetFile(_NoPages(), metadata=parquet.metadata, pre_buffer=False) as bare:
            next(bare.iter_batches(batch_size=1, row_groups=[number], columns=[name], use_threads=False), None)


def _row_group(group: Any, places: dict[str, int], first: int, options: ReaderOptions) -> RowGroup:
    # No other column is looked at: damaged metadata of a nested one end the whole process (pyarrow 26, std::terminate).
    columns = {
        name: group.column(places[name])
        for name in _fields_read(options)
        if places.get(name, group.num_columns) < group.num_columns
    }
    wanted = [*columns.values()]
    text = columns.get(options.text_field)
    for column in wanted:
        sizes = (group.num_rows, column.total_compressed_size, column.total_uncompressed_size)
        # Believed, such numbers would be read for ever, or in no batch at all.
        if min(sizes) < 0 or column.num_values != group.num_rows:
            message = f"column {column.path_in_schema} has {column.num_values} values and sizes {sizes}"
            raise BrokenParquetError(message)
    return RowGroup(
        first,
        group.num_rows,
        text.total_uncompressed_size if text else 0,
        max(map(_dictionary_bytes, wanted), default=0),
        next(filter(None, map(_bomb_fault, wanted)), ""),
    )


def _bomb_fault(column: Any) -> str:
    packed, unpacked = column.total_compressed_size, column.total_uncompressed_size
    if unpacked <= max(LARGE_BYTES, MOST_SHRUNK * packed):
        return ""
    return f"column {column.path_in_schema} unpacks from {packed} to {unpacked} bytes, more than {MOST_SHRUNK} times"


def _dictionary_bytes(column: Any) -> int:
    if not column.has_dictionary_page or not column.total_compressed_size:
        return 0
    packed = max(0, column.data_page_offset - (column.dictionary_page_offset or 0))
    # Twice, since a dictionary of long values shrinks better than the numbers that follow it.
    about = 2 * packed * column.total_uncompressed_size // column.total_compressed_size
    return int(min(column.total_uncompressed_size, about))
