"""Reads the documents of a source, or of a range of it. Opens, understands and forgets; keeps nothing between calls.

A range holds the records that *start* in it, so that ranges which tile a source read every record once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from storage.sources.document_file import read_document
from storage.sources.faults import FaultError
from storage.sources.formats import DOCUMENT_FORMATS
from storage.sources.frame import Frame
from storage.sources.framing import Framing, open_framing
from storage.sources.parquet_rows import read_rows
from storage.sources.record import BadRecord, ReaderOptions, Record


def read(uri: str, options: ReaderOptions, offset: int = 0, length: int = -1) -> Iterator[Record | BadRecord]:
    """Yield the documents that start in `[offset, offset + length)`, and what is none with its reason.

    Offsets count bytes of the decompressed source, rows for Parquet; a length of -1 means to the end. An offset of a
    CSV is that of a record, as `cut` and `record_offsets` give it. Raises `SourceUnavailableError`.
    """
    if options.format in DOCUMENT_FORMATS:
        return read_document(uri, options) if offset == 0 and length else iter(())
    if options.format == "parquet":
        return read_rows(uri, options, offset, length)
    return _read_framed(uri, options, offset, length)


def _read_framed(uri: str, options: ReaderOptions, offset: int, length: int) -> Iterator[Record | BadRecord]:
    framing = open_framing(uri, options, offset, length)
    line = framing.first_line
    for frame in framing.frames:
        outcome = _understood(framing, frame, line)
        if outcome is not None:
            yield outcome
        if line is not None:
            # A line that was too long to hold is still one line.
            line += frame.data.count(b"\n") or 1


def _understood(framing: Framing, frame: Frame, line: int | None) -> Record | BadRecord | None:
    if frame.fault:
        return BadRecord(frame.offset, frame.length, frame.fault, frame.detail, line)
    try:
        return framing.meaning.understand(frame)
    except FaultError as fault:
        if line is not None and fault.position is not None:
            # The byte at fault may stand lines below the beginning of its record.
            line += frame.data.count(b"\n", 0, fault.position - frame.offset)
        return BadRecord(frame.offset, frame.length, fault.reason, fault.detail, line, fault.key)


def record_offsets(uri: str, options: ReaderOptions, offset: int, length: int, limit: int | None = None) -> list[int]:
    """Return where the first `limit` records of a range start, documents and others alike; all without a limit.

    A range may be halved at any of them. Raises `SourceUnavailableError`.
    """
    return [record.offset for record in islice(read(uri, options, offset, length), limit)]
