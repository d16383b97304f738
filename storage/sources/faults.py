"""Why a record, or a stretch of bytes, is no document: every reason there is, in one place. Judges nothing itself.

The words are stored with dead letters and shown to users; they outlive a release and are never renamed.
"""

from __future__ import annotations

#: Bytes that the encoding does not allow; the detail names the offset in the file of the first of them.
UNDECODABLE = "undecodable"
#: A NUL character, which PostgreSQL's text cannot hold.
NUL = "nul"
#: A lone surrogate, which comes of a JSON escape such as \\ud800 and is no character.
SURROGATE = "surrogate"
#: A line that is not JSON, is nested too deeply, or holds a number of thousands of digits.
BROKEN_JSON = "broken_json"
#: A line that is JSON but no object.
NOT_AN_OBJECT = "not_an_object"
#: The text's field or column is not there.
MISSING_FIELD = "missing_field"
#: The text is a number, a list, null or something else that is no string.
NOT_A_STRING = "not_a_string"
#: The key is missing, empty, too long, neither string nor integer, or holds NUL or surrogates.
BAD_KEY = "bad_key"
#: More bytes than `max_record_bytes`, the line end counted.
TOO_LONG = "too_long"
#: A row that strict CSV forbids, or that has not as many fields as the header. Costs one physical line.
BROKEN_CSV = "broken_csv"
#: Parquet that cannot be read: no footer, damaged pages.
BROKEN_PARQUET = "broken_parquet"
#: Compressed data that end too early or are damaged; what came before counts, this stands for the rest.
TRUNCATED = "truncated"

REASONS = (
    UNDECODABLE,
    NUL,
    SURROGATE,
    BROKEN_JSON,
    NOT_AN_OBJECT,
    MISSING_FIELD,
    NOT_A_STRING,
    BAD_KEY,
    TOO_LONG,
    BROKEN_CSV,
    BROKEN_PARQUET,
    TRUNCATED,
)


class FaultError(Exception):
    """One record is no document, for a reason. Raised and caught inside a reader, where it becomes a `BadRecord`.

    `position` is the offset in the file of the byte at fault, where there is one; `key` the record's own key, where
    that was found already.
    """

    def __init__(self, reason: str, detail: str, position: int | None = None, key: str | None = None) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.position = position
        self.key = key


class BrokenStreamError(Exception):
    """Compressed data end too early or are damaged. `position` counts the bytes that came out before."""

    def __init__(self, detail: str, position: int) -> None:
        super().__init__(detail, position)
        self.detail = detail
        self.position = position
