"""Which format and compression a name's suffix stands for. Opens nothing and looks at no content."""

from __future__ import annotations

from functools import lru_cache
from posixpath import splitext

from storage.sources.record import Compression, Format

FORMATS: dict[str, Format] = {
    ".txt": "txt",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}
COMPRESSIONS: dict[str, Compression] = {".gz": "gz", ".zst": "zst", ".bz2": "bz2"}
#: Named by every error about suffixes.
KNOWN_SUFFIXES = f"{' '.join(FORMATS)} (each also with {' '.join(COMPRESSIONS)})"

#: One document a file.
DOCUMENT_FORMATS = frozenset({"txt", "thucnews"})
#: One document a row under a header row.
TABLE_FORMATS = frozenset({"csv", "tsv"})
#: Formats with named columns, known before a record is read.
COLUMN_FORMATS = TABLE_FORMATS | {"parquet"}
#: Formats with named fields.
FIELD_FORMATS = COLUMN_FORMATS | {"jsonl"}


def format_of(name: str) -> tuple[Format, Compression] | None:
    """Return the format and compression of a file's name, None when the suffix is not known.

    `a.jsonl.gz` -> `("jsonl", "gz")`, `a.TXT` -> `("txt", "")`, `a.doc` -> None
    """
    stem, suffix = splitext(name)
    inner = splitext(stem)[1] if suffix.lower() in COMPRESSIONS else ""
    return _format_of_suffixes(inner + suffix)


@lru_cache(maxsize=1024)
def _format_of_suffixes(suffixes: str) -> tuple[Format, Compression] | None:
    inner, outer = splitext("name" + suffixes.lower())
    compression = COMPRESSIONS.get(outer)
    if compression is not None:
        outer = splitext(inner)[1]
    found = FORMATS.get(outer)
    return None if found is None else (found, compression or "")


def compression_of(name: str) -> Compression:
    """Return the compression that a name's last suffix stands for, whatever stands before it."""
    return COMPRESSIONS.get(splitext(name)[1].lower(), "")
