"""From the values that stand in a record's text and key fields to a document, or to the fault that makes it none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import islice
from typing import Final

from storage.sources.dates import UNDATED
from storage.sources.faults import BAD_KEY, MISSING_FIELD, NOT_A_STRING, NUL, SURROGATE, FaultError
from storage.sources.record import MAX_KEY_CHARS, ReaderOptions, Record

#: The value of a field that is not there.
MISSING: Final = object()
#: Names of fields that a fault lists at most.
_NAMES_SHOWN = 10
_SURROGATES = re.compile("[\ud800-\udfff]")


def place_key(uri: str, offset: int) -> str:
    """Return the key of a document that has none of its own."""
    return f"{uri}@{offset}"


def make_record(
    uri: str,
    options: ReaderOptions,
    place: tuple[int, int],
    text: object,
    key: object,
    names: Iterable[object] = (),
    month: int = UNDATED,
) -> Record:
    """Return the document of a record at `place` (offset and length) with these values of its text and key fields.

    `names` are the fields there are, for the fault that names them; `month` is that of its date. Raises `FaultError`.
    """
    own_key, key_fault = (None, None) if options.key_field is None else _own_key(key, options.key_field)
    try:
        checked = _checked_text(text, options.text_field, names)
    except FaultError as fault:
        fault.key = own_key
        raise
    if key_fault:
        raise key_fault
    offset, length = place
    return Record(place_key(uri, offset) if own_key is None else own_key, checked, offset, length, month=month)


def _checked_text(value: object, field: str, names: Iterable[object]) -> str:
    if not isinstance(value, str):
        if value is MISSING:
            there = ", ".join(str(name) for name in islice(names, _NAMES_SHOWN))
            raise FaultError(MISSING_FIELD, f"no field {field!r}; there are: {there or 'none'}")
        raise FaultError(NOT_A_STRING, f"field {field!r} is {_kind(value)}, not a string")
    if "\0" in value:
        raise FaultError(NUL, f"field {field!r} holds a NUL character")
    if not _is_encodable(value):
        raise FaultError(SURROGATE, f"field {field!r} holds a lone surrogate")
    return value


def _own_key(value: object, field: str) -> tuple[str | None, FaultError | None]:
    key = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    wrong = _wrong_key(key)
    if wrong:
        return None, FaultError(BAD_KEY, f"the key in field {field!r} {wrong}")
    return str(key), None


def _wrong_key(key: object) -> str:
    if key is MISSING:
        return "is missing"
    if not isinstance(key, str):
        return f"is {_kind(key)}, neither a string nor an integer"
    if not key:
        return "is empty"
    if len(key) > MAX_KEY_CHARS:
        return f"has {len(key)} characters, more than {MAX_KEY_CHARS}"
    if "\0" in key or not _is_encodable(key):
        return "holds a NUL character or a lone surrogate"
    return ""


def _is_encodable(text: str) -> bool:
    return text.isascii() or not _SURROGATES.search(text)


def _kind(value: object) -> str:
    return "null" if value is None else f"of type {type(value).__name__}"
