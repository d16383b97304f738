"""A frame: the bytes of one record as they stand in a source, cut out and not yet understood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from storage.sources.faults import TOO_LONG, TRUNCATED, BrokenStreamError

#: Stands for "to the end of the source" where a range ends.
NO_END = 1 << 62


class Frame(NamedTuple):
    """One record's bytes, its line end included, or a stretch of which `fault` says why it is none.

    `length` counts the bytes up to the next frame; `data` of a fault may be empty, since it need not fit in memory.
    """

    offset: int
    data: bytes
    length: int
    fault: str = ""
    detail: str = ""


def end_of(offset: int, length: int) -> int:
    """Return where a range ends; -1 as its length means the end of the source."""
    return NO_END if length < 0 else offset + length


def too_long(offset: int, length: int, limit_bytes: int) -> Frame:
    """Return the frame of a record that was skipped because it is longer than `limit_bytes`."""
    return Frame(offset, b"", length, TOO_LONG, f"{length} bytes are more than the {limit_bytes} allowed for a record")


def truncated(position: int, end: int, error: BrokenStreamError) -> Iterator[Frame]:
    """Yield one frame for all that stands behind the last whole record, if that lies in the range before `end`.

    A stream that breaks before `position` broke inside an earlier range, which reports it.
    """
    if position < end and position <= error.position:
        yield Frame(position, b"", error.position - position, TRUNCATED, error.detail)
