"""One document a row of CSV or TSV. The header row is required; blank lines are left out."""

from __future__ import annotations

from dataclasses import dataclass

from storage.sources.byte_stream import LEAST_CHUNK_BYTES
from storage.sources.csv_frames import DELIMITERS, frame_records, split_fields
from storage.sources.dates import UNDATED, month_of
from storage.sources.encodings import decode, mark_bytes
from storage.sources.faults import BROKEN_CSV, MISSING_FIELD, TRUNCATED, BrokenStreamError, FaultError
from storage.sources.frame import NO_END, Frame
from storage.sources.record import ReaderOptions, Record
from storage.sources.values import MISSING, make_record
from storage.sources.window import window_at


@dataclass(frozen=True, slots=True)
class Header:
    """The first row. Records begin at `end`; `fault` says why the row cannot be read, empty when it can.

    Empty and truncated sources have no columns.
    """

    columns: tuple[str, ...] = ()
    data: bytes = b""
    end: int = 0
    lines: int = 0
    fault: str = ""


def read_header(uri: str, options: ReaderOptions, encoding: str) -> Header:
    """Return the header row of a source. Raises `SourceUnavailableError`."""
    window = window_at(uri, options, 0, LEAST_CHUNK_BYTES)
    try:
        window.extend()
    except BrokenStreamError:
        return Header()
    window.take(mark_bytes(window.data, encoding))
    delimiter = DELIMITERS[options.format]
    frame = next(frame_records(window, NO_END, options.max_record_bytes, delimiter), None)
    if frame is None:
        return Header(end=window.position)
    return _header(frame, delimiter, encoding)


def _header(frame: Frame, delimiter: bytes, encoding: str) -> Header:
    if frame.fault == TRUNCATED:
        # A stream that breaks inside the header is reported by whoever reads on from there.
        return Header(end=frame.offset)
    columns: tuple[str, ...] = ()
    fault = frame.detail
    if not fault:
        try:
            decode(frame.data, encoding, frame.offset)
            columns = tuple(field.decode(encoding) for field in split_fields(frame.data, delimiter))
        except FaultError as error:
            fault = error.detail
    # A row that was too long to hold is one line, and so is one without a line end.
    lines = frame.data.count(b"\n") or 1
    return Header(columns, frame.data, frame.offset + frame.length, lines, fault)


class CsvTable:
    """Understands the rows of one source."""

    def __init__(self, uri: str, options: ReaderOptions, encoding: str, header: Header) -> None:
        self._uri = uri
        self._options = options
        self._encoding = encoding
        self._header = header
        self._delimiter = DELIMITERS[options.format]
        self._text_column = _column(header, options.text_field)
        self._key_column = None if options.key_field is None else _column(header, options.key_field)
        self._date_column = None if options.date_field is None else _column(header, options.date_field)

    def understand(self, frame: Frame) -> Record | None:
        """Return the document of a row, None for a blank line; raises `FaultError`."""
        if not frame.data.strip(b"\r\n"):
            return None
        if self._header.fault:
            raise FaultError(BROKEN_CSV, f"the header row cannot be read: {self._header.fault}")
        decode(frame.data, self._encoding, frame.offset)
        fields = split_fields(frame.data, self._delimiter)
        self._check_width(fields)
        text, key = (self._value(fields, column) for column in (self._text_column, self._key_column))
        month = UNDATED if self._date_column is None else month_of(self._value(fields, self._date_column))
        place = (frame.offset, frame.length)
        return make_record(self._uri, self._options, place, text, key, self._header.columns, month)

    def _check_width(self, fields: list[bytes]) -> None:
        found, expected = len(fields), len(self._header.columns)
        if found == expected:
            return
        detail = f"the row has {found} fields, the header {expected}"
        is_missing = self._text_column is not None and found <= self._text_column
        raise FaultError(MISSING_FIELD if is_missing else BROKEN_CSV, detail)

    def _value(self, fields: list[bytes], column: int | None) -> object:
        return MISSING if column is None else fields[column].decode(self._encoding)


def _column(header: Header, name: str) -> int | None:
    return header.columns.index(name) if name in header.columns else None
