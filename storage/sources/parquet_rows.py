"""One document a row of Parquet. Offsets and lengths are rows here, not bytes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR
from typing import Any

from storage.sources.dates import UNDATED, as_month, month_of
from storage.sources.faults import BROKEN_PARQUET, TOO_LONG, TRUNCATED, UNDECODABLE, BrokenStreamError, FaultError
from storage.sources.frame import end_of
from storage.sources.parquet_file import BrokenParquetError, RowGroup, damage_is_told, opened_parquet, row_groups
from storage.sources.record import BadRecord, ReaderOptions, Record
from storage.sources.values import MISSING, make_record

#: Bytes of text that a batch of rows should have, and rows that it has at most.
_BATCH_BYTES = 2 * 1024 * 1024
_BATCH_ROWS = 1024
#: Bytes of text that a batch of rows may have where each repeats the longest value of a dictionary.
_REPEATED_BYTES = 256 * 1024 * 1024


def read_rows(uri: str, options: ReaderOptions, offset: int, length: int) -> Iterator[Record | BadRecord]:
    """Yield the documents of a range of rows; damaged pages cost the rest of their row group.

    Raises `SourceUnavailableError`.
    """
    end = end_of(offset, length)
    try:
        with opened_parquet(uri, options) as parquet:
            for number, group in enumerate(row_groups(uri, parquet, options)):
                if group.first < end and group.first + group.rows > offset:
                    yield from _Group(uri, options, parquet, number, group).read(offset, end)
    except BrokenStreamError as error:
        yield from _unreadable(offset, end, TRUNCATED, error.detail)
    except BrokenParquetError as error:
        yield from _unreadable(offset, end, BROKEN_PARQUET, str(error))


def _unreadable(offset: int, end: int, reason: str, detail: str) -> Iterator[BadRecord]:
    if offset == 0 < end:
        yield BadRecord(0, 1, reason, detail, line=1)


class _Group:
    """The rows of one row group."""

    def __init__(self, uri: str, options: ReaderOptions, parquet: Any, number: int, group: RowGroup) -> None:
        self._uri = uri
        self._options = options
        self._parquet = parquet
        self._number = number
        self._group = group
        self._names: list[str] = parquet.schema_arrow.names

    def read(self, offset: int, end: int) -> Iterator[Record | BadRecord]:
        group = self._group
        row = group.first
        if group.fault:
            if row >= offset:
                yield BadRecord(row, group.rows, TOO_LONG, group.fault, line=row + 1)
            return
        batches = self._batches()
        while row < end:
            try:
                with damage_is_told(self._uri):
                    batch = next(batches, None)
            except BrokenParquetError as error:
                if row >= offset:
                    yield BadRecord(row, group.first + group.rows - row, BROKEN_PARQUET, str(error), line=row + 1)
                return
            if batch is None:
                return
            first = max(row, offset)
            # Always the batches from the group's beginning, so that damage is met at the same row by every range.
            yield from self._documents(batch.slice(first - row, max(0, end - first)), first)
            row += batch.num_rows

    def _batches(self) -> Iterator[Any]:
        wanted = {self._options.text_field, self._options.key_field, self._options.date_field}
        columns = [name for name in self._names if name in wanted]
        row_bytes = self._group.text_bytes // max(1, self._group.rows) + 1
        batch_rows = min(_BATCH_ROWS, _BATCH_BYTES // row_bytes + 1)
        if self._group.dictionary_bytes:
            batch_rows = min(batch_rows, _REPEATED_BYTES // self._group.dictionary_bytes + 1)
        batches: Iterator[Any] = self._parquet.iter_batches(
            batch_size=batch_rows, row_groups=[self._number], columns=columns, use_threads=False
        )
        return batches

    def _documents(self, batch: Any, first: int) -> Iterator[Record | BadRecord]:
        texts = _values(batch, self._options.text_field)
        keys = _values(batch, self._options.key_field)
        months = _months(batch, self._options.date_field)
        for row, (text, key, month) in enumerate(zip(texts, keys, months, strict=True), start=first):
            try:
                yield self._document(row, text, key, month)
            except FaultError as fault:
                yield BadRecord(row, 1, fault.reason, fault.detail, line=row + 1, key=fault.key)

    def _document(self, row: int, text: object, key: object, month: int) -> Record:
        options = self._options
        if isinstance(text, bytes) and len(text) > options.max_record_bytes:
            detail = f"{len(text)} bytes are more than the {options.max_record_bytes} allowed for a record"
            raise FaultError(TOO_LONG, detail)
        place = (row, 1)
        return make_record(self._uri, options, place, _decoded(text), _decoded(key), self._names, month)


def _values(batch: Any, name: str | None) -> list[object]:
    """Return a column's values: strings as bytes, so that a broken one harms only itself."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only Parquet needs it

    if name is None or name not in batch.schema.names:
        return [MISSING] * batch.num_rows
    column = batch.column(name)
    kinds = pa.types
    if kinds.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if any(is_kind(kind) for is_kind in (kinds.is_string, kinds.is_large_string, kinds.is_string_view)):
        column = column.cast(pa.large_binary())
    elif not any(
        is_kind(kind) for is_kind in (kinds.is_binary, kinds.is_large_binary, kinds.is_integer, kinds.is_null)
    ):
        return [kind] * batch.num_rows
    values: list[object] = column.to_pylist()
    return values


def _months(batch: Any, name: str | None) -> list[int]:
    """Return the months of a column of dates, of instants (in UTC where it has a zone), or of what spells them."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and only Parquet needs it
    import pyarrow.compute as pc  # noqa: PLC0415

    if name is None or name not in batch.schema.names:
        return [UNDATED] * batch.num_rows
    column = batch.column(name)
    kinds = pa.types
    if kinds.is_timestamp(column.type):
        # Not by the zone's own calendar, which not every machine has.
        column = column.cast(pa.timestamp(column.type.unit))
    elif kinds.is_floating(column.type):
        return [*map(month_of, column.to_pylist())]
    elif not kinds.is_date(column.type):
        return [*map(_month_of_bytes, _values(batch, name))]
    years, months = pc.year(column).to_pylist(), pc.month(column).to_pylist()
    # A year that has no four digits is damage, or a sentinel.
    pairs = zip(years, months, strict=True)
    return [as_month(year, month) if year and 0 < year <= MAXYEAR else UNDATED for year, month in pairs]


def _month_of_bytes(value: object) -> int:
    return month_of(value.decode(errors="replace") if isinstance(value, bytes) else value)


def _decoded(value: object) -> object:
    if not isinstance(value, bytes):
        return value
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        detail = f"byte 0x{value[error.start]:02x}, number {error.start + 1} of the value, is not utf-8"
        raise FaultError(UNDECODABLE, detail) from error
