"""A file on a web server as a file object: read from any place on, one request for each place. Knows no formats."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

from storage.sources.web_request import file_state, open_web, read_web

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from urllib3 import BaseHTTPResponse


class WebFile(io.RawIOBase):
    """The bytes behind a URL. Methods raise what `storage.sources.web_request.open_web` raises."""

    def __init__(self, url: str) -> None:
        """Ask for the file's beginning, so that what is wrong with it is said at once."""
        self._url = url
        self._position = 0
        self._size: int | None = None
        self._response: BaseHTTPResponse | None = open_web(url, 0)
        self._is_open = True

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def seekable(self) -> bool:
        """Say that it can be read from elsewhere on."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to another place; the server is asked for it when it is read."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        target = offset + (self._end() if start is None else start)
        if target != self._position:
            self._let_go()
            self._position = target
        return target

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill a buffer and return how many bytes came; 0 at the end."""
        view = memoryview(buffer).cast("B")
        if not self._is_open:
            self._response = open_web(self._url, self._position)
            self._is_open = True
        if self._response is None or not view:
            return 0
        data = read_web(self._url, self._response, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        """Let the connection go."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self._response is not None:
            self._response.close()
        self._response, self._is_open = None, False

    def _end(self) -> int:
        if self._size is None:
            self._size = file_state(self._url).size
        if self._size is None:
            message = "its server does not say how long it is"
            raise io.UnsupportedOperation(message)
        return self._size
