"""What every reader yields: a record that is a document, or one that is not and says why. Reads nothing itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Literal

from storage.limits import DEFAULT_MAX_RECORD_BYTES
from storage.sources.dates import UNDATED

Format = Literal["txt", "lines", "jsonl", "csv", "tsv", "parquet", "thucnews"]
Compression = Literal["", "gz", "zst", "bz2"]

#: Longest key of a document, in characters; four bytes each still fit a B-tree page of PostgreSQL.
MAX_KEY_CHARS = 512


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Everything that decides which documents a reader makes of a source's bytes."""

    format: Format
    compression: Compression = ""
    encoding: str = "utf-8"
    text_field: str = "text"
    key_field: str | None = None
    date_field: str | None = None
    max_record_bytes: int = DEFAULT_MAX_RECORD_BYTES

    def to_json(self) -> str:
        """Return the canonical JSON text: equal options give equal text."""
        return _options_json(self)

    @classmethod
    def from_json(cls, text: str) -> ReaderOptions:
        """Return the options that `to_json` wrote."""
        return _options_of(text)


@lru_cache(maxsize=256)
def _options_of(text: str) -> ReaderOptions:
    # Thousands of small sources share one text.
    return ReaderOptions(**json.loads(text))


@lru_cache(maxsize=1024)
def _options_json(options: ReaderOptions) -> str:
    # Kept, because each of a million files asks for the JSON of the same few options.
    values = asdict(options)
    if options.date_field is None:
        # As it was written before there were dates: what is known of a source stays known, and is read by any program.
        del values["date_field"]
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Record:
    """A document as it stands in a source.

    `offset` and `length` address it, line end included: bytes of the (decompressed) file, or rows for Parquet.
    `month` is 202407 for a date in July 2024, 0 without a date.
    """

    key: str
    text: str
    offset: int
    length: int
    metadata: Mapping[str, object] | None = None
    month: int = UNDATED


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record, or a stretch of bytes, that is no document; becomes one dead letter.

    `reason` is a constant word for machines (all of them stand in `faults`), `detail` a sentence for people. `line`
    counts from 1 in the whole file and is None where that would mean reading it; `key` is the record's own, if found.
    """

    offset: int
    length: int
    reason: str
    detail: str
    line: int | None = None
    key: str | None = None
