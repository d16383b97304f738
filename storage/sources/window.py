"""The part of a stream that a framer looks at: it grows at the end and is taken from at the beginning."""

from __future__ import annotations

from collections.abc import Iterator

from storage.sources.byte_stream import chunk_bytes_for, open_chunks
from storage.sources.faults import BrokenStreamError
from storage.sources.record import ReaderOptions


class Window:
    """Bytes of a stream from `cursor` on; `position` is the cursor's offset in the stream.

    Methods that read on raise `BrokenStreamError` and then leave `position` where it was.
    """

    def __init__(self, chunks: Iterator[bytes], position: int) -> None:
        self._chunks = chunks
        self.data = b""
        self.cursor = 0
        self.position = position
        self.ended = False

    def held_bytes(self) -> int:
        """Return how many bytes can be looked at."""
        return len(self.data) - self.cursor

    def extend(self) -> bool:
        """Read on; false when the stream has ended."""
        chunk = next(self._chunks, None)
        if chunk is None:
            self.ended = True
            return False
        self.data = self.data[self.cursor :] + chunk
        self.cursor = 0
        return True

    def take(self, size_bytes: int) -> bytes:
        """Return this many bytes and move behind them."""
        taken = self.data[self.cursor : self.cursor + size_bytes]
        self.cursor += size_bytes
        self.position += size_bytes
        return taken

    def skip_line(self, least_bytes: int | None = None) -> int:
        """Move behind the next line feed and return how many bytes that were; they are never held together.

        With `least_bytes` the search ends as soon as so many bytes are skipped.
        """
        skipped = 0
        while (newline := self.data.find(b"\n", self.cursor)) < 0:
            skipped += self.held_bytes()
            self.cursor = len(self.data)
            if (least_bytes is not None and skipped >= least_bytes) or not self.extend():
                break
        else:
            skipped += newline + 1 - self.cursor
            self.cursor = newline + 1
        self.position += skipped
        return skipped


def window_at(uri: str, options: ReaderOptions, offset: int, length: int = -1) -> Window:
    """Return a window that begins at `offset`. Nothing is read yet."""
    return Window(open_chunks(uri, options.compression, offset, chunk_bytes_for(length)), offset)


def window_at_line(uri: str, options: ReaderOptions, offset: int, length: int = -1) -> Window:
    """Return a window that begins at the first line start from `offset` on, or behind the range if it has none.

    Raises `SourceUnavailableError`.
    """
    if offset == 0:
        return window_at(uri, options, 0, length)
    # The byte before tells whether a line starts at `offset` itself.
    window = window_at(uri, options, offset - 1, length)
    try:
        window.skip_line(None if length < 0 else length + 1)
    except BrokenStreamError:
        # The line that is cut short began in an earlier range, which reports it.
        return Window(iter(()), offset)
    return window
