"""Cuts a stream into lines, in bounded memory. A line ends with a line feed; nothing is decoded, no line left out."""

from __future__ import annotations

from collections.abc import Iterator

from storage.sources.faults import BrokenStreamError
from storage.sources.frame import Frame, too_long, truncated
from storage.sources.window import Window


def frame_lines(window: Window, end: int, limit_bytes: int) -> Iterator[Frame]:
    """Yield the lines that start before `end`; the window stands at the start of the first."""
    try:
        while window.position < end and (frame := _next_line(window, limit_bytes)):
            yield frame
    except BrokenStreamError as error:
        yield from truncated(window.position, end, error)


def _next_line(window: Window, limit_bytes: int) -> Frame | None:
    while True:
        position = window.position
        newline = window.data.find(b"\n", window.cursor, window.cursor + limit_bytes)
        if newline >= 0:
            data = window.take(newline + 1 - window.cursor)
            return Frame(position, data, len(data))
        if window.held_bytes() > limit_bytes:
            return too_long(position, window.skip_line(), limit_bytes)
        if not window.extend():
            data = window.take(window.held_bytes())
            return Frame(position, data, len(data)) if data else None
