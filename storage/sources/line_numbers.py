"""Which line a byte stands in, counted when somebody asks: inside a range nobody knows what came before."""

from __future__ import annotations

from storage.sources.byte_stream import open_chunks
from storage.sources.faults import BrokenStreamError
from storage.sources.record import ReaderOptions


def line_number(uri: str, options: ReaderOptions, offset: int, since: tuple[int, int] = (0, 1)) -> int:
    """Return the line, counted from 1, of a byte offset in the decompressed source; of a Parquet row, its number.

    `since` is an earlier offset and its line, to count on from. Raises `SourceUnavailableError`.
    """
    if options.format == "parquet":
        return offset + 1
    start, line = since
    left = offset - start
    if left <= 0:
        return line
    try:
        for chunk in open_chunks(uri, options.compression, start):
            line += chunk.count(b"\n", 0, left)
            left -= len(chunk)
            if left <= 0:
                break
    except BrokenStreamError:
        # The offset lies where nothing can be read any more; its line is the last that could be.
        pass
    return line
