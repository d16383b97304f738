"""What tells a source that has changed from one that has not: its size, and a stamp. Reads no content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from storage.sources.byte_stream import is_url, open_filesystem, unavailable_is_transient

#: Where fsspec's file systems say that a file has changed, the surest first.
_STAMP_FIELDS = (
    "ETag",
    "etag",
    "checksum",
    "md5",
    "md5Hash",
    "mtime",
    "LastModified",
    "last_modified",
    "modified",
    "created",
)


def source_stamp(uri: str) -> tuple[int, str]:
    """Return a source's size in bytes and its stamp as they are now.

    Raises `SourceUnavailableError` when it is gone or cannot be asked.
    """
    with unavailable_is_transient(uri):
        if not is_url(uri):
            status = os.stat(uri)  # noqa: PTH116 - asked for every small file
            return status.st_size, str(status.st_mtime_ns)
        filesystem, path = open_filesystem(uri)
        # What was listed earlier would answer with the past.
        filesystem.invalidate_cache()
        return remote_stamp(filesystem.info(path))


def remote_stamp(info: Mapping[str, Any]) -> tuple[int, str]:
    """Return size and stamp from what fsspec knows about a file; a size that is not known is 0, a stamp empty."""
    stamp = next((info[field] for field in _STAMP_FIELDS if info.get(field) is not None), "")
    if isinstance(stamp, datetime):
        # A listing may give seconds for what a single question answers with a datetime.
        stamp = stamp.timestamp()
    return int(info.get("size") or 0), f"{stamp:.6f}" if isinstance(stamp, float) else str(stamp)
