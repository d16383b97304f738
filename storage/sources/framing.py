"""Chooses how the records of a source are cut out and understood, for the formats that are streams of bytes.

Parquet has rows instead of bytes, and a `.txt` is one document: both are read elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from storage.sources.csv_frames import DELIMITERS, frame_records
from storage.sources.csv_table import CsvTable, Header, read_header
from storage.sources.encodings import source_encoding
from storage.sources.formats import TABLE_FORMATS
from storage.sources.frame import Frame, end_of
from storage.sources.json_lines import JsonLines
from storage.sources.line_frames import frame_lines
from storage.sources.record import ReaderOptions, Record
from storage.sources.text_lines import TextLines
from storage.sources.window import window_at, window_at_line


class Understanding(Protocol):
    """Makes documents of the frames of one source."""

    def understand(self, frame: Frame) -> Record | None:
        """Return the document of a frame, None where there is nothing; raises `FaultError`."""


@dataclass(frozen=True, slots=True)
class Framing:
    """A range cut into frames, how to understand them, and what besides their bytes decides what they mean.

    `first_line` is the line of the first frame, None when it is not known.
    """

    frames: Iterator[Frame]
    meaning: Understanding
    first_line: int | None
    context: bytes


def open_framing(uri: str, options: ReaderOptions, offset: int, length: int) -> Framing:
    """Return the frames of the records that start in a range. Raises `SourceUnavailableError`, also while iterated."""
    encoding = source_encoding(uri, options)
    if options.format in TABLE_FORMATS:
        header = read_header(uri, options, encoding)
        return _table_framing(uri, options, (offset, length), encoding, header)
    window = window_at_line(uri, options, offset, length)
    frames = frame_lines(window, end_of(offset, length), options.max_record_bytes)
    meaning = TextLines(uri, encoding) if options.format == "lines" else JsonLines(uri, options, encoding)
    # At the beginning of a file a byte order mark is taken off, elsewhere it is a character.
    return Framing(frames, meaning, None if offset else 1, f"{encoding} {offset == 0}".encode())


def _table_framing(uri: str, options: ReaderOptions, place: tuple[int, int], encoding: str, header: Header) -> Framing:
    offset, length = place
    start = max(offset, header.end)
    window = window_at(uri, options, start, length)
    frames = frame_records(window, end_of(offset, length), options.max_record_bytes, DELIMITERS[options.format])
    line = None if offset > header.end else header.lines + 1
    return Framing(frames, CsvTable(uri, options, encoding, header), line, encoding.encode() + b" " + header.data)
