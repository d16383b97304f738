"""Keeps what comes in by standard input as a file, so that workers can read it, and read it again. Parses nothing."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from storage.errors import UsageError
from storage.sources.record import Format

_COPIED_BYTES = 1024 * 1024
#: Suffixes of formats that are not their own.
_SUFFIXES: dict[str, str] = {"lines": "txt", "thucnews": "txt"}


def spool_stdin(stdin_dir: Path, input_format: Format) -> Path:
    """Copy standard input to a file named after its SHA-256, and return the file.

    The same input gives the same file, untouched. Raises `UsageError` when nothing can be read or written.
    """
    # sys.stdin is None in a process that was started without one.
    if sys.stdin is None:
        message = "there is no standard input to read"
        raise UsageError(message)
    try:
        stdin_dir.mkdir(parents=True, exist_ok=True)
        return _spool(sys.stdin.buffer, stdin_dir, _SUFFIXES.get(input_format, input_format))
    except OSError as error:
        message = f"standard input cannot be kept in {stdin_dir}: {error}"
        raise UsageError(message) from error


def _spool(stdin: BinaryIO, stdin_dir: Path, suffix: str) -> Path:
    digest = hashlib.sha256()
    descriptor, temporary = tempfile.mkstemp(dir=stdin_dir, prefix=".incoming-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            while chunk := stdin.read(_COPIED_BYTES):
                digest.update(chunk)
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        target = stdin_dir.resolve() / f"{digest.hexdigest()}.{suffix}"
        if not target.exists():
            # Renamed last: a file of that name is always whole.
            Path(temporary).replace(target)
        return target
    finally:
        Path(temporary).unlink(missing_ok=True)
