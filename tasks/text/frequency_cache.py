"""The parsed default dictionary of jieba on disk, so that a process starts in a fraction of the time.

jieba's own cache lies under a fixed name in the shared temporary folder, is used even when the dictionary has changed,
and is trusted whatever it holds. This one is named after the dictionary's content and carries a checksum.
"""

from __future__ import annotations

import hashlib
import marshal
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

#: Word -> frequency, prefixes of words with 0 among them; and the sum of all frequencies.
Frequencies = tuple[dict[str, int], int]

DIGEST_BYTES = hashlib.sha256().digest_size


def load_cached(cache_dir: Path, digest: str, parse: Callable[[], Frequencies]) -> Frequencies:
    """Return the frequencies of the dictionary with this digest from the cache, or parse and remember them.

    An unreadable, unwritable or damaged cache is passed over in silence: it costs time, never a result.
    """
    path = cache_dir / f"jieba-{digest[:32]}-v{marshal.version}.cache"
    cached = _read(path)
    if cached is None:
        cached = parse()
        with suppress(OSError):
            _write(path, cached)
    return cached


def _read(path: Path) -> Frequencies | None:
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, payload = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    if hashlib.sha256(payload).digest() != checksum:
        return None
    return cast("Frequencies", marshal.loads(payload))  # noqa: S302 - our own bytes: private folder, checksum


def _write(path: Path, frequencies: Frequencies) -> None:
    """Write the whole file under another name first, so that no reader ever meets half of it."""
    payload = marshal.dumps(frequencies)
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
