"""Asks web servers (http, https) for a file, or for a part of one, and says what their answers mean. Keeps nothing.

Bytes are taken as they are sent: an answer that was compressed on its way is refused, for its offsets mean nothing.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from storage.errors import SourceUnavailableError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

WEB_PROTOCOLS = ("http://", "https://")
#: Seconds that a server may take to accept a connection, …
CONNECT_S = 20.0
#: … and that it may say nothing while it answers.
SILENCE_S = 60.0
#: Redirections followed one after the other.
MAX_REDIRECTIONS = 5

_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_MISSING = (404, 410)
_FORBIDDEN = (401, 403)
#: A name, with or without a password, in front of the server's.
_LOGIN = re.compile(r"(?<=://)[^/?#]*@")
_RANGE_GIVEN = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


@dataclass(frozen=True, slots=True)
class WebFileState:
    """What a server says of a file."""

    #: Where redirections lead to.
    place: str
    #: Bytes; None when the server does not say.
    size: int | None
    #: Its ETag, or else when it was last modified; empty when the server says neither.
    version: str
    #: Whether it can be read from any place on.
    has_ranges: bool


def is_web(uri: str) -> bool:
    """Tell whether a web server is asked for this, and not fsspec."""
    return uri.lower().startswith(WEB_PROTOCOLS)


def file_state(url: str) -> WebFileState:
    """Ask what a file is now; its bytes stay where they are.

    Raises `FileNotFoundError`, `PermissionError`, `ValueError` for a URL that cannot be asked, and
    `SourceUnavailableError` for a server that is away, silent, or answers with a failure.
    """
    # One byte instead of HEAD: many servers know no HEAD, and the answer tells whether ranges are given.
    place, response = _asked(url, "bytes=0-0")
    if response.status == _NOT_SATISFIABLE:
        # An empty file has no first byte.
        response.close()
        place, response = _asked(url, None)
    response.close()
    is_partial = response.status == _PARTIAL
    version = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
    return WebFileState(place, _size_of(response, is_partial=is_partial), version, is_partial)


def open_web(url: str, start: int) -> BaseHTTPResponse | None:
    """Return the answer that holds a file's bytes from offset `start` on, not read yet; None behind the file's end.

    What a server sends before `start` because it knows no ranges is read and dropped. Raises as `file_state` does.
    """
    _, response = _asked(url, f"bytes={start}-" if start else None)
    if response.status == _NOT_SATISFIABLE:
        response.close()
        return None
    if response.status == _PARTIAL:
        given = _RANGE_GIVEN.match(response.headers.get("Content-Range", ""))
        if not given or given[1] != str(start):
            response.close()
            message = f"{url} cannot be read: its server gives another part of the file than it was asked for"
            raise SourceUnavailableError(message)
        return response
    ahead = start
    while ahead and (dropped := read_web(url, response, min(ahead, 1024 * 1024))):
        ahead -= len(dropped)
    return response


def read_web(url: str, response: BaseHTTPResponse, size_bytes: int) -> bytes:
    """Return the next bytes of an answer, none at its end. Raises `SourceUnavailableError`."""
    with _failure_is_told(url):
        return response.read(size_bytes, decode_content=False)


def _asked(url: str, byte_range: str | None) -> tuple[str, BaseHTTPResponse]:
    """Return the answer to a GET and the URL that gave it, redirections followed."""
    headers = {"Accept-Encoding": "identity", "User-Agent": "hanmill"}
    if byte_range:
        headers["Range"] = byte_range
    place = url
    for _ in range(MAX_REDIRECTIONS + 1):
        _check_place(place)
        with _failure_is_told(url):
            response = _pool().request("GET", place, headers=headers, redirect=False, preload_content=False)
        target = response.get_redirect_location()
        if not target:
            return place, _judged(url, response)
        response.close()
        place = _followed(place, urljoin(place, target))
    message = f"its server redirects more than {MAX_REDIRECTIONS} times"
    raise ValueError(message)


def without_password(url: str) -> str:
    """Return a URL without the name and password that may stand in it."""
    return _LOGIN.sub("", url, count=1)


def _check_place(place: str) -> None:
    if _LOGIN.search(place):
        message = "a URL with a name or password would stand in the database and in messages; give one without"
        raise ValueError(message)


def _followed(place: str, target: str) -> str:
    if not is_web(target) or (place.lower().startswith("https://") and target.lower().startswith("http://")):
        message = f"its server redirects to {target}, which is no web server that can be trusted as well as the first"
        raise ValueError(message)
    return target


def _judged(url: str, response: BaseHTTPResponse) -> BaseHTTPResponse:
    """Return an answer that can be used; raises for every other."""
    status = response.status
    encoding = response.headers.get("Content-Encoding", "identity")
    # What is compressed as it lies there is often sent as compressed on its way; its bytes are the file's.
    if status in {_OK, _PARTIAL} and (encoding in {"", "identity"} or urlsplit(url).path.lower().endswith(_SUFFIXES)):
        return response
    if status == _NOT_SATISFIABLE:
        return response
    response.close()
    if status in _MISSING:
        raise FileNotFoundError(errno.ENOENT, "the server has no such file", url)
    if status in _FORBIDDEN:
        raise PermissionError(errno.EACCES, "the server gives it to nobody without a login", url)
    if status in {_OK, _PARTIAL}:
        message = (
            f"{url} cannot be read: its server compresses it on its way ({encoding}) though it was asked not to; "
            "have it serve the file as it is, or compressed under a name with .gz, .zst or .bz2"
        )
        raise SourceUnavailableError(message)
    answer = f"{status} {response.reason or ''}".rstrip()
    message = f"{url} cannot be read: its server answers {answer}; try again later"
    raise SourceUnavailableError(message)


_SUFFIXES = (".gz", ".zst", ".bz2")


def _size_of(response: BaseHTTPResponse, *, is_partial: bool) -> int | None:
    if is_partial:
        given = _RANGE_GIVEN.match(response.headers.get("Content-Range", ""))
        return int(given[2]) if given and given[2] != "*" else None
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


@contextmanager
def _failure_is_told(url: str) -> Iterator[None]:
    from urllib3 import exceptions  # noqa: PLC0415 - heavy, and only the web needs it

    try:
        yield
    except exceptions.LocationValueError:
        # A ValueError that says what is wrong with the URL.
        raise
    except exceptions.ReadTimeoutError as error:
        message = f"{url} cannot be read: its server was silent for {SILENCE_S:g} s; see what keeps it, then try again"
        raise SourceUnavailableError(message) from error
    except exceptions.HTTPError as error:
        message = f"{url} cannot be read: {error}; check the address and the network, then try again"
        raise SourceUnavailableError(message) from error


def _pool() -> PoolManager:
    return _pool_of_process(os.getpid())


@lru_cache(maxsize=1)
def _pool_of_process(_: int) -> PoolManager:
    """Return the connections of one process: a child must not write to those that it was born with."""
    from urllib3 import PoolManager, Timeout  # noqa: PLC0415 - heavy, and only the web needs it

    # Tried again by whoever wants the file: a shard waits for its source, a schedule for its inputs.
    return PoolManager(retries=False, timeout=Timeout(connect=CONNECT_S, read=SILENCE_S))
