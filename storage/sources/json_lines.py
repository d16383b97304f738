"""One JSON object a line (JSON Lines, NDJSON). Blank lines are left out; duplicate names and NaN are tolerated."""

from __future__ import annotations

import json
import re

from storage.sources.dates import UNDATED, month_of
from storage.sources.encodings import decode
from storage.sources.faults import BROKEN_JSON, NOT_AN_OBJECT, FaultError
from storage.sources.frame import Frame
from storage.sources.record import ReaderOptions, Record
from storage.sources.values import MISSING, make_record

_JSON_BLANKS = " \t\r\n"
#: Brackets in brackets that are still read. Python's parser takes as many as the stack has room for, which is not the
#: same everywhere: what is a document in one process must be one in every other.
MOST_NESTED = 200
#: Brackets, and the strings in which they mean nothing.
_BRACKETS = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]')


class JsonLines:
    """Understands the lines of one source."""

    def __init__(self, uri: str, options: ReaderOptions, encoding: str) -> None:
        self._uri = uri
        self._options = options
        self._encoding = encoding

    def understand(self, frame: Frame) -> Record | None:
        """Return the document of a line, None for a blank line; raises `FaultError`."""
        line = decode(frame.data, self._encoding, frame.offset).strip(_JSON_BLANKS)
        if not line:
            return None
        value = _parse(line)
        if not isinstance(value, dict):
            raise FaultError(NOT_AN_OBJECT, f"the line is JSON of type {type(value).__name__}, not an object")
        options = self._options
        key = None if options.key_field is None else value.get(options.key_field, MISSING)
        month = UNDATED if options.date_field is None else month_of(value.get(options.date_field))
        place = (frame.offset, frame.length)
        return make_record(self._uri, options, place, value.get(options.text_field, MISSING), key, value, month)


def _parse(line: str) -> object:
    if line.count("{") + line.count("[") > MOST_NESTED and _is_too_deep(line):
        raise FaultError(BROKEN_JSON, f"brackets in brackets more than {MOST_NESTED} deep")
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise FaultError(BROKEN_JSON, f"{error.msg} at character {error.pos + 1} of the line") from error
    except ValueError as error:
        # A number of thousands of digits.
        raise FaultError(BROKEN_JSON, str(error)) from error


def _is_too_deep(line: str) -> bool:
    depth = 0
    for match in _BRACKETS.finditer(line):
        bracket = match.group()
        depth += (bracket in "[{") - (bracket in "]}")
        if depth > MOST_NESTED:
            return True
    return False
