"""Checks that a table has the columns that were asked for, before any work starts. Reads headers, no records."""

from __future__ import annotations

from storage.sources.csv_table import read_header
from storage.sources.encodings import source_encoding
from storage.sources.faults import BrokenStreamError
from storage.sources.parquet_file import BrokenParquetError, opened_parquet
from storage.sources.record import ReaderOptions

_COLUMNS_SHOWN = 20


def column_fault(uri: str, options: ReaderOptions) -> str:
    """Return what is wrong with the columns of a CSV, TSV or Parquet source, empty when nothing is.

    Raises `SourceUnavailableError`.
    """
    if options.format == "parquet":
        return _parquet_fault(uri, options)
    header = read_header(uri, options, source_encoding(uri, options))
    if header.fault:
        return f"{uri}: the header row cannot be read: {header.fault}"
    # An empty table has no documents and no columns; that is no fault. A damaged one becomes a dead letter.
    return _missing(uri, options, header.columns) if header.columns else ""


def _parquet_fault(uri: str, options: ReaderOptions) -> str:
    try:
        with opened_parquet(uri, options) as parquet:
            return _missing(uri, options, tuple(parquet.schema_arrow.names))
    except (BrokenParquetError, BrokenStreamError):
        # One damaged file among many is a dead letter, not a reason to read none of them.
        return ""


def _missing(uri: str, options: ReaderOptions, columns: tuple[str, ...]) -> str:
    wanted = {
        "--text-field": options.text_field,
        "--key-field": options.key_field,
        "--date-field": options.date_field,
    }
    missing = {option: name for option, name in wanted.items() if name is not None and name not in columns}
    if not missing:
        return ""
    names = " or ".join(repr(name) for name in missing.values())
    shown = ", ".join(columns[:_COLUMNS_SHOWN]) + (", …" if len(columns) > _COLUMNS_SHOWN else "")
    return f"{uri} has no column {names}; its columns are: {shown}. Name the right one by {' and '.join(missing)}"
