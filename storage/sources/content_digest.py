"""A digest of what a range of a source says: equal content gives equal digests wherever it stands and whenever made."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from storage.sources.byte_stream import open_chunks
from storage.sources.formats import DOCUMENT_FORMATS
from storage.sources.framing import open_framing
from storage.sources.parquet_rows import read_rows
from storage.sources.record import ReaderOptions, Record


def content_digest(uri: str, options: ReaderOptions, offset: int, length: int) -> bytes:
    """Return 32 bytes, the SHA-256 of the reader options and of the bytes that decide a range's documents.

    Paths and times are no part of it, nor are keys and labels made of a path. Of whole sources the bytes decide as
    they lie there, compressed or not. Raises `SourceUnavailableError`.
    """
    digest = hashlib.sha256(options.to_json().encode())
    if offset == 0 and length < 0:
        digest.update(b"\0whole\0")
        _add_file(digest.update, uri)
    elif options.format in DOCUMENT_FORMATS:
        # A document belongs to the range of its first byte, whole; other ranges of its file are empty.
        digest.update(b"\0document\0")
        if offset == 0 and length:
            _add_file(digest.update, uri)
    elif options.format == "parquet":
        digest.update(b"\0rows\0")
        _add_rows(digest.update, uri, options, offset, length)
    else:
        digest.update(b"\0frames\0")
        _add_frames(digest.update, uri, options, offset, length)
    return digest.digest()


def _add_file(add: Callable[[bytes], None], uri: str) -> None:
    for chunk in open_chunks(uri):
        add(chunk)


def _add_frames(add: Callable[[bytes], None], uri: str, options: ReaderOptions, offset: int, length: int) -> None:
    framing = open_framing(uri, options, offset, length)
    faults = hashlib.sha256(framing.context)
    for number, frame in enumerate(framing.frames):
        if frame.fault:
            faults.update(f"{number} {frame.fault} {frame.length}\n".encode())
        # Frames carry their line ends, so that put together they still tell where each of them ends.
        add(frame.data)
    add(faults.digest())


def _add_rows(add: Callable[[bytes], None], uri: str, options: ReaderOptions, offset: int, length: int) -> None:
    for row in read_rows(uri, options, offset, length):
        values = _document_values(row, options) if isinstance(row, Record) else [row.reason, row.detail]
        for value in (type(row).__name__, *values):
            data = value.encode()
            add(len(data).to_bytes(8, "big"))
            add(data)


def _document_values(record: Record, options: ReaderOptions) -> list[str]:
    # A key of its own is content, one made of the path is not.
    values = [record.text, record.key if options.key_field else ""]
    return [*values, str(record.month)] if options.date_field else values
