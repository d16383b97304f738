"""What a file holds, told a second time by plain means: bytes split at line ends, Python's json and csv modules.

Shares no code with the readers. Says nothing where no second opinion is to be had: see `expected`.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

#: Stands for a record that is no document.
BAD = None
_MARKS = {"utf-8": b"\xef\xbb\xbf", "gb18030": b"\x84\x31\x95\x33"}
#: Deeper nesting is left to the reader to judge.
_SURE_DEPTH = 100


class NoOpinionError(Exception):
    """Two careful readers may differ about this file."""


def expected(data: bytes, options: Any, *, broken: bool) -> list[str | None]:
    """Return the texts of a file's documents in order, `BAD` for each record that is none.

    `broken` says that more should follow, which nobody can read. Raises `NoOpinionError`.
    """
    encoding = options.encoding
    if encoding == "auto":
        encoding = "utf-8" if _is_utf8(data) else "gb18030"
    if options.format in {"txt", "thucnews"}:
        return _document(data, encoding, options, broken=broken)
    if options.format in {"csv", "tsv"}:
        if broken:
            raise NoOpinionError
        return list(_rows(data, encoding, options))
    lines = _lines(data)
    tail = [BAD] if broken else []
    if broken and lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    meaning = _text_line if options.format == "lines" else _json_line
    found = (meaning(line, encoding, options, is_first=not number) for number, line in enumerate(lines))
    return [text for text in found if text != ""] + tail


def _is_utf8(data: bytes) -> bool:
    if data.startswith(_MARKS["utf-8"]):
        return True
    for cut in range(4):
        try:
            data[: len(data) - cut].decode()
        except UnicodeDecodeError:
            continue
        if data[len(data) - cut :][:1] == b"\xed":
            # Surrogates begin so too, and decoders differ in when they notice.
            raise NoOpinionError
        # What is missing at the end must be the rest of one character that has begun.
        return not cut or _begins_a_character(data[len(data) - cut :])
    return False


def _begins_a_character(rest: bytes) -> bool:
    tails = (bytes([last]) * missing for last in (0x80, 0x9F, 0xA0, 0xBF, 0x8F, 0x90) for missing in (1, 2, 3))
    return any(_decodes(rest + tail) for tail in tails)


def _decodes(data: bytes) -> bool:
    try:
        return len(data.decode()) == 1
    except UnicodeDecodeError:
        return False


def _lines(data: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in data.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _decoded(data: bytes, encoding: str, *, is_first: bool) -> str | None:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        return BAD
    if "\0" in text:
        return BAD
    return text[1:] if is_first and text[:1] == "\ufeff" else text


def _document(data: bytes, encoding: str, options: Any, *, broken: bool) -> list[str | None]:
    if broken or len(data) > options.max_record_bytes:
        return [BAD]
    text = _decoded(data, encoding, is_first=True)
    if text == "":
        return []
    if text is not None and options.format == "thucnews":
        return [text.split("\n", 1)[1] if "\n" in text else ""]
    return [text]


def _text_line(line: bytes, encoding: str, options: Any, *, is_first: bool) -> str | None:
    if len(line) > options.max_record_bytes:
        return BAD
    text = _decoded(line, encoding, is_first=is_first)
    if text is None or not text.endswith("\n"):
        return text
    return text[: -2 if text.endswith("\r\n") else -1]


def _json_line(line: bytes, encoding: str, options: Any, *, is_first: bool) -> str | None:
    if len(line) > options.max_record_bytes:
        return BAD
    text = _decoded(line, encoding, is_first=is_first)
    if text is None or not text.strip(" \t\r\n"):
        return text and ""
    if text.count("[") + text.count("{") > _SURE_DEPTH:
        raise NoOpinionError
    try:
        value = json.loads(text.strip(" \t\r\n"))
    except ValueError:
        return BAD
    if not isinstance(value, dict) or (options.key_field and not _is_key(value.get(options.key_field))):
        return BAD
    found = value.get(options.text_field)
    if not isinstance(found, str) or "\0" in found or not _is_unicode(found):
        return BAD
    # An empty text in a record is a document all the same; a blank line is none.
    return found or EMPTY


#: An empty text that is a document.
EMPTY = "\0"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_key(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | str):
        return False
    key = str(value)
    return 0 < len(key) <= 512 and "\0" not in key and _is_unicode(key)


def _rows(data: bytes, encoding: str, options: Any) -> Iterator[str | None]:
    """Yield what the csv module finds in a table that breaks no rule; others raise `NoOpinionError`."""
    text = _decoded(data, encoding, is_first=True)
    if text is None or len(data) > options.max_record_bytes or "\r" in text.replace("\r\n", ""):
        raise NoOpinionError
    delimiter = "," if options.format == "csv" else "\t"
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as error:
        raise NoOpinionError from error
    if not rows or not rows[0] or len(set(rows[0])) != len(rows[0]):
        raise NoOpinionError
    header = rows[0]
    for row in rows[1:]:
        if row:
            yield _row(row, header, options)


def _row(row: list[str], header: list[str], options: Any) -> str | None:
    if len(row) != len(header) or options.text_field not in header:
        return BAD
    if options.key_field and not _is_key(row[header.index(options.key_field)]):
        return BAD
    return row[header.index(options.text_field)] or EMPTY
