"""gzip, bzip2 and Zstandard as streams in bounded memory: members one after another, and everything before a damage.

The standard library's file objects are not used: they throw away what stands before the place where a file was cut.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Protocol

from storage.sources.faults import BrokenStreamError
from storage.sources.record import Compression

#: Compressed bytes fed at a time. Small, since of a damaged piece everything is lost.
_FED_BYTES = 4096
#: Zstandard's decompressor cannot be told to stop; 512 bytes can at most blow up to some 20 MB.
_FED_BYTES_ZST = 512
#: Bytes that come out at a time, however much they were compressed.
_STEP_BYTES = 1024 * 1024


class _Member(Protocol):
    """One gzip member, bzip2 stream or Zstandard frame."""

    errors: tuple[type[Exception], ...]

    def feed(self, data: bytes) -> Iterator[bytes]: ...

    def rest(self) -> bytes | None:
        """Return what follows the member's end, None before the end was seen."""


class _GzipMember:
    errors: tuple[type[Exception], ...] = (zlib.error,)

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while True:
            piece = self._inner.decompress(data, _STEP_BYTES)
            yield piece
            data = self._inner.unconsumed_tail
            # A full step may have left output inside although all input is taken.
            if self._inner.eof or (not data and len(piece) < _STEP_BYTES):
                return

    def rest(self) -> bytes | None:
        return self._inner.unused_data if self._inner.eof else None


class _Bzip2Member:
    errors: tuple[type[Exception], ...] = (OSError, ValueError)

    def __init__(self) -> None:
        self._inner = bz2.BZ2Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._inner.decompress(data, _STEP_BYTES)
        while not (self._inner.needs_input or self._inner.eof):
            yield self._inner.decompress(b"", _STEP_BYTES)

    def rest(self) -> bytes | None:
        return self._inner.unused_data if self._inner.eof else None


class _ZstandardMember:
    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - only .zst needs it

        self.errors: tuple[type[Exception], ...] = (zstandard.ZstdError,)
        self._inner: Any = zstandard.ZstdDecompressor().decompressobj()

    def feed(self, data: bytes) -> Iterator[bytes]:
        yield self._inner.decompress(data)

    def rest(self) -> bytes | None:
        return self._inner.unused_data if self._inner.eof else None


_MEMBERS: dict[Compression, Callable[[], _Member]] = {
    "gz": _GzipMember,
    "bz2": _Bzip2Member,
    "zst": _ZstandardMember,
}


def decompressed(file: BinaryIO, compression: Compression) -> Iterator[bytes]:
    """Yield the decompressed bytes in pieces of any size; an empty file gives none.

    Raises `BrokenStreamError` after all that could be decompressed, and `OSError` from reading the file.
    """
    make = _MEMBERS[compression]
    fed_bytes = _FED_BYTES_ZST if compression == "zst" else _FED_BYTES
    member: _Member | None = None
    position = 0
    padding = b""
    while data := file.read(fed_bytes):
        while data := data if member else data.lstrip(padding):
            member = member or make()
            for piece in _fed(member, data, position):
                position += len(piece)
                yield piece
            rest = member.rest()
            data = b"" if rest is None else rest
            if rest is not None:
                member = None
                # Between members and after the last, tapes and some tools fill up with zeros.
                padding = b"\0"
    if member is not None:
        message = "the compressed data end too early"
        raise BrokenStreamError(message, position)


def _fed(member: _Member, data: bytes, position: int) -> Iterator[bytes]:
    pieces = member.feed(data)
    while True:
        try:
            piece = next(pieces, None)
        except member.errors as error:
            message = f"the compressed data are damaged: {error}"
            raise BrokenStreamError(message, position) from error
        if piece is None:
            return
        position += len(piece)
        if piece:
            yield piece
