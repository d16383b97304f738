"""What tells a source that has changed from one that has not: its size, and a stamp.

Reads no content, but where a web server tells nothing else.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from storage.sources.byte_stream import is_url, open_chunks, open_filesystem, unavailable_is_transient
from storage.sources.web_request import file_state, is_web

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


#: Characters that a stamp's column holds.
_LONGEST_STAMP = 200


def source_stamp(uri: str) -> tuple[int, str]:
    """Return a source's size in bytes and its stamp as they are now.

    Raises `SourceUnavailableError` when it is gone or cannot be asked.
    """
    with unavailable_is_transient(uri):
        if not is_url(uri):
            status = os.stat(uri)  # noqa: PTH116 - asked for every small file
            return status.st_size, str(status.st_mtime_ns)
        if is_web(uri):
            return web_stamp(uri)
        filesystem, path = open_filesystem(uri)
        # What was listed earlier would answer with the past.
        filesystem.invalidate_cache()
        return remote_stamp(filesystem.info(path))


def web_stamp(url: str) -> tuple[int, str]:
    """Return size and stamp of a file on a web server; a size that the server does not tell is 0.

    Of a file whose server tells neither an ETag nor when it was modified, the content is read. Raises what
    `storage.sources.web_request.file_state` raises.
    """
    state = file_state(url)
    if state.version:
        is_short = len(state.version) <= _LONGEST_STAMP
        return state.size or 0, state.version if is_short else hashlib.sha256(state.version.encode()).hexdigest()
    digest = hashlib.sha256()
    size_bytes = 0
    for chunk in open_chunks(url):
        digest.update(chunk)
        size_bytes += len(chunk)
    return size_bytes, f"sha256:{digest.hexdigest()}"


def remote_stamp(info: Mapping[str, Any]) -> tuple[int, str]:
    """Return size and stamp from what fsspec knows about a file; a size that is not known is 0, a stamp empty."""
    stamp = next((info[field] for field in _STAMP_FIELDS if info.get(field) is not None), "")
    if isinstance(stamp, datetime):
        # A listing may give seconds for what a single question answers with a datetime.
        stamp = stamp.timestamp()
    return int(info.get("size") or 0), f"{stamp:.6f}" if isinstance(stamp, float) else str(stamp)
