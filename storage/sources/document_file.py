"""One document a file: `.txt` as it stands, and THUCNews's layout. Files with a document a line are read elsewhere."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from storage.sources.byte_stream import read_whole
from storage.sources.encodings import AUTO, decode, guess_encoding
from storage.sources.faults import TOO_LONG, TRUNCATED, BrokenStreamError, FaultError
from storage.sources.record import BadRecord, ReaderOptions, Record
from storage.sources.values import place_key


def read_document(uri: str, options: ReaderOptions) -> Iterator[Record | BadRecord]:
    """Yield the document that a file is; an empty file, or one with a byte order mark only, is none.

    Line ends stay as they are. Raises `SourceUnavailableError`.
    """
    limit_bytes = options.max_record_bytes
    try:
        data, size_bytes = read_whole(uri, options.compression, limit_bytes)
    except BrokenStreamError as error:
        yield BadRecord(0, error.position, TRUNCATED, error.detail, line=1)
        return
    if size_bytes > limit_bytes:
        detail = f"the file has more than the {limit_bytes} bytes allowed for a document"
        yield BadRecord(0, size_bytes, TOO_LONG, detail, line=1)
        return
    try:
        text = decode(data, guess_encoding(data) if options.encoding == AUTO else options.encoding, 0)
    except FaultError as fault:
        yield BadRecord(0, size_bytes, fault.reason, fault.detail, line=data.count(b"\n", 0, fault.position) + 1)
        return
    if text:
        yield _thucnews(uri, text, size_bytes) if options.format == "thucnews" else _plain(uri, text, size_bytes)


def _plain(uri: str, text: str, size_bytes: int) -> Record:
    return Record(place_key(uri, 0), text, 0, size_bytes)


def _thucnews(uri: str, text: str, size_bytes: int) -> Record:
    title, _, body = text.partition("\n")
    metadata = {"title": title.removesuffix("\r"), "label": posixpath.basename(posixpath.dirname(uri))}
    return Record(place_key(uri, 0), body, 0, size_bytes, metadata)
