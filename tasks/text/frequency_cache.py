"""What was made of jieba's dictionary, on disk, so that a process starts in a fraction of the time.

jieba's own cache lies under a fixed name in the shared temporary folder, is used even when the dictionary has changed,
and is trusted whatever it holds. This one is named after the dictionary's content and carries a checksum.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST_BYTES = hashlib.sha256().digest_size


def load_cached(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the bytes that were kept in a file, or make and keep them.

    An unreadable, unwritable or damaged cache is passed over in silence: it costs time, never a result.
    """
    cached = _read(path)
    if cached is None:
        cached = make()
        with suppress(OSError):
            _write(path, cached)
    return cached


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return payload if hashlib.sha256(payload).digest() == checksum else None


def _write(path: Path, payload: bytes) -> None:
    """Write the whole file under another name first, so that no reader ever meets half of it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(hashlib.sha256(payload).digest())
            file.write(payload)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
