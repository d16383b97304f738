"""A source's bytes in order, from a local path, a web server or any fsspec URL, decompressed.

Knows no records and no encodings.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from storage.errors import SourceUnavailableError
from storage.sources.decompression import decompressed
from storage.sources.faults import BrokenStreamError
from storage.sources.record import Compression
from storage.sources.web_file import WebFile
from storage.sources.web_request import is_web

#: Bytes read at a time; what a reader holds besides the record it is in.
CHUNK_BYTES = 1024 * 1024
#: A small range is read in smaller steps, so that a shard of a kilobyte does not cost a megabyte.
LEAST_CHUNK_BYTES = 16 * 1024
#: Compressed bytes fetched by one system call.
_READ_AHEAD_BYTES = 128 * 1024


def is_url(uri: str) -> bool:
    """Tell whether a server, or what else fsspec knows, is asked for this, not the file system."""
    return "://" in uri


def open_filesystem(uri: str) -> tuple[Any, str]:
    """Return the fsspec file system of a URL and the path in it.

    Raises `ImportError` when the library for the protocol is missing and `ValueError` for an unknown protocol.
    """
    import fsspec  # noqa: PLC0415 - heavy, and only URLs need it

    filesystem, path = fsspec.core.url_to_fs(uri)
    return filesystem, path


def _unavailable(uri: str, error: Exception) -> SourceUnavailableError:
    return SourceUnavailableError(f"{uri} cannot be read: {error.__class__.__name__}: {error}")


@contextmanager
def unavailable_is_transient(uri: str) -> Iterator[None]:
    """Turn what fails while a source is opened or read into `SourceUnavailableError` that names it."""
    try:
        yield
    except (OSError, ImportError, ValueError) as error:
        raise _unavailable(uri, error) from error


def open_binary(uri: str, buffer_bytes: int = 0) -> BinaryIO:
    """Open a source for reading; raises `SourceUnavailableError`."""
    with unavailable_is_transient(uri):
        if not is_url(uri):
            return open(uri, "rb", buffering=buffer_bytes)  # noqa: PTH123 - the caller closes
        if is_web(uri):
            return io.BufferedReader(WebFile(uri), _READ_AHEAD_BYTES)
        filesystem, path = open_filesystem(uri)
        return cast(BinaryIO, filesystem.open(path, "rb"))


def open_chunks(
    uri: str, compression: Compression = "", start: int = 0, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[bytes]:
    """Yield the bytes from offset `start` on, of the decompressed stream where there is one.

    Raises `SourceUnavailableError`, and `BrokenStreamError` after everything that could be decompressed.
    """
    with open_binary(uri, _READ_AHEAD_BYTES if compression else 0) as file:
        if compression:
            yield from _regrouped(_skipped(_guarded(decompressed(file, compression), uri), start), chunk_bytes)
            return
        with unavailable_is_transient(uri):
            file.seek(start)
        while chunk := _read(file, uri, chunk_bytes):
            yield chunk
            # A long record must not be put together from ever so many small pieces.
            chunk_bytes = min(2 * chunk_bytes, CHUNK_BYTES)


def _read(file: BinaryIO, uri: str, size_bytes: int) -> bytes:
    with unavailable_is_transient(uri):
        return file.read(size_bytes)


def _guarded(pieces: Iterator[bytes], uri: str) -> Iterator[bytes]:
    while True:
        try:
            piece = next(pieces, None)
        except (OSError, ImportError) as error:
            raise _unavailable(uri, error) from error
        if piece is None:
            return
        yield piece


def _skipped(pieces: Iterator[bytes], start: int) -> Iterator[bytes]:
    ahead = start
    for piece in pieces:
        if ahead >= len(piece):
            ahead -= len(piece)
            continue
        yield piece[ahead:] if ahead else piece
        ahead = 0


def _regrouped(pieces: Iterator[bytes], chunk_bytes: int) -> Iterator[bytes]:
    """Join small pieces, so that a long record is not copied once for each of them."""
    held: list[bytes] = []
    held_bytes = 0
    try:
        for piece in pieces:
            held.append(piece)
            held_bytes += len(piece)
            if held_bytes >= chunk_bytes:
                chunk = b"".join(held)
                held, held_bytes = [], 0
                yield chunk
    except BrokenStreamError:
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def chunk_bytes_for(length: int) -> int:
    """Return the step in which a range of this many bytes is read."""
    return CHUNK_BYTES if length < 0 else min(CHUNK_BYTES, max(LEAST_CHUNK_BYTES, length))


def read_whole(uri: str, compression: Compression, limit_bytes: int) -> tuple[bytes, int]:
    """Return a whole source and its size in bytes; of one beyond `limit_bytes` nothing is returned but the size.

    The size of a compressed one beyond the limit is only known to be at least what is returned.
    Raises `SourceUnavailableError` and `BrokenStreamError`.
    """
    if not compression and not is_url(uri):
        return _read_local(uri, limit_bytes)
    parts: list[bytes] = []
    size_bytes = 0
    for chunk in open_chunks(uri, compression):
        size_bytes += len(chunk)
        if size_bytes > limit_bytes:
            return b"", size_bytes
        parts.append(chunk)
    return b"".join(parts), size_bytes


def _read_local(uri: str, limit_bytes: int) -> tuple[bytes, int]:
    # The path that fifty thousand small files take: three system calls and no buffer of a fixed size.
    try:
        with open(uri, "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more than the reading
            size_bytes = os.fstat(file.fileno()).st_size
            if size_bytes > limit_bytes:
                return b"", size_bytes
            data = file.read()
    except OSError as error:
        raise _unavailable(uri, error) from error
    return data, len(data)
