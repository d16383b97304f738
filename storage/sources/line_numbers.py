"""Which line a byte stands in, counted when somebody asks: inside a range nobody knows what came before."""

from __future__ import annotations

from storage.sources.byte_stream import open_chunks
from storage.sources.faults import BrokenStreamError
from storage.sources.record import ReaderOptions


def line_number(uri: str, options: ReaderOptions, offset: int) -> int:
    """Return the line, counted from 1, of a byte offset in the decompressed source; of a Parquet row, its number.

    Raises `SourceUnavailableError`.
    """
    if options.format == "parquet":
        return offset + 1
    line = 1
    left = offset
    try:
        for chunk in open_chunks(uri, options.compression):
            line += chunk.count(b"\n", 0, left)
            left -= len(chunk)
            if left <= 0:
                break
    except BrokenStreamError:
        # The offset lies where nothing can be read any more; its line is the last that could be.
        pass
    return line
