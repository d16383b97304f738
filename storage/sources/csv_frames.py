"""Cuts a stream into CSV or TSV records by the rules of strict CSV, in bounded memory. Decodes and names no columns.

A field that begins with a quote ends with one, may hold delimiters and line ends, and doubles a quote inside. A quote
inside a field that began without one is an ordinary character. Whatever breaks these rules costs its first physical
line, and reading goes on at the next, so that a stray quote never swallows a file. What a record is depends only on
the bytes from its start on, never on where a range or a chunk of reading ends.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from storage.sources.faults import BROKEN_CSV, BrokenStreamError
from storage.sources.frame import Frame, too_long, truncated
from storage.sources.window import Window

DELIMITERS = {"csv": b",", "tsv": b"\t"}
_QUOTE = b'"'
#: Where a field that began without a quote ends.
_FIELD_ENDS = {delimiter: re.compile(b"[" + delimiter + rb"\r\n]") for delimiter in DELIMITERS.values()}


class Scan(NamedTuple):
    """How far a record reaches: `end` is behind its line end, or where a rule is broken, or where the bytes end."""

    end: int
    is_whole: bool = False
    fault: str = ""


def frame_records(window: Window, end: int, limit_bytes: int, delimiter: bytes) -> Iterator[Frame]:
    """Yield the records that start before `end`; the window stands at the start of the first."""
    try:
        while window.position < end and (frame := _next_record(window, limit_bytes, delimiter)):
            yield frame
    except BrokenStreamError as error:
        yield from truncated(window.position, end, error)


def _next_record(window: Window, limit_bytes: int, delimiter: bytes) -> Frame | None:
    while True:
        scan = scan_record(window.data, window.cursor, delimiter, is_last=window.ended)
        scanned_bytes = scan.end - window.cursor
        # Judged by the first `limit_bytes` alone, so that it does not matter how much more was read by chance.
        if scanned_bytes > limit_bytes:
            return _first_line(window, limit_bytes, f"a quoted field does not end within {limit_bytes} bytes")
        if scan.fault:
            return _first_line(window, limit_bytes, scan.fault)
        if scan.is_whole:
            position = window.position
            data = window.take(scanned_bytes)
            return Frame(position, data, len(data)) if data else None
        window.extend()


def _first_line(window: Window, limit_bytes: int, detail: str) -> Frame:
    while True:
        position = window.position
        newline = window.data.find(b"\n", window.cursor, window.cursor + limit_bytes)
        if newline >= 0:
            return _broken(position, window.take(newline + 1 - window.cursor), detail)
        if window.held_bytes() > limit_bytes:
            return too_long(position, window.skip_line(), limit_bytes)
        if not window.extend():
            return _broken(position, window.take(window.held_bytes()), detail)


def _broken(position: int, data: bytes, detail: str) -> Frame:
    return Frame(position, data, len(data), BROKEN_CSV, detail)


def split_fields(record: bytes, delimiter: bytes) -> list[bytes]:
    """Return the fields of one whole record, quotes taken off: of `a,"b ""c"" d"` they are `a` and `b "c" d`."""
    if _QUOTE not in record:
        return record.rstrip(b"\r\n").split(delimiter)
    fields: list[bytes] = []
    scan_record(record, 0, delimiter, is_last=True, fields=fields)
    return fields


def scan_record(data: bytes, start: int, delimiter: bytes, *, is_last: bool, fields: list[bytes] | None = None) -> Scan:
    """Find the end of the record that starts at `start`, and put its fields into `fields` when that is given.

    `is_last` tells that no bytes follow `data`.
    """
    if fields is None and (plain := _scan_plain_line(data, start, is_last=is_last)):
        return plain
    while True:
        quoted = data.startswith(_QUOTE, start)
        stop = _closing_quote(data, start + 1) if quoted else _field_end(data, start, delimiter)
        if stop < 0 and quoted and is_last:
            return Scan(len(data), fault="a quoted field does not end")
        if stop < 0 and not is_last:
            return Scan(len(data))
        if stop < 0:
            stop = len(data)
        if fields is not None:
            fields.append(data[start + 1 : stop].replace(b'""', b'"') if quoted else data[start:stop])
        start = stop + quoted
        if not data.startswith(delimiter, start):
            return _scan_line_end(data, start, is_last=is_last)
        start += 1


def _scan_plain_line(data: bytes, start: int, *, is_last: bool) -> Scan | None:
    """Judge a line without any quote; None for one that has a quote."""
    newline = data.find(b"\n", start)
    stop = newline if newline >= 0 else len(data)
    if data.find(_QUOTE, start, stop) >= 0:
        return None
    if newline < 0 and not is_last:
        return Scan(stop)
    bare = data.find(b"\r", start, stop)
    if bare >= 0 and data[bare:stop].strip(b"\r"):
        return Scan(bare, fault="a carriage return without a line feed")
    return Scan(stop if newline < 0 else newline + 1, is_whole=True)


def _closing_quote(data: bytes, start: int) -> int:
    """Return where the quote stands that ends a field, -1 when the bytes do not tell."""
    while (quote := data.find(_QUOTE, start)) >= 0:
        if not data.startswith(_QUOTE, quote + 1):
            return quote
        start = quote + 2
    return -1


def _field_end(data: bytes, start: int, delimiter: bytes) -> int:
    found = _FIELD_ENDS[delimiter].search(data, start)
    return found.start() if found else -1


def _scan_line_end(data: bytes, start: int, *, is_last: bool) -> Scan:
    stop = start
    while data.startswith(b"\r", stop):
        stop += 1
    if data.startswith(b"\n", stop):
        return Scan(stop + 1, is_whole=True)
    if stop == len(data):
        return Scan(stop, is_whole=is_last)
    return Scan(start, fault="a carriage return without a line feed" if stop > start else "text after a closing quote")
