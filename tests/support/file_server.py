"""A web server with files in memory, and with every habit of a web server that a reader must cope with."""

from __future__ import annotations

import re
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass
class Served:
    """One file, and how it is served."""

    data: bytes
    #: Headers that tell a version: ETag, Last-Modified; and others.
    headers: dict[str, str] = field(default_factory=dict)
    has_ranges: bool = True
    tells_length: bool = True
    #: Answered instead of the file; a redirection has its target in `headers`.
    status: int = 200
    #: Bytes after which the connection is cut, or nothing more is sent until the server ends.
    cut_after: int | None = None
    silent_after: int | None = None


class FileServer(ThreadingHTTPServer):
    """Serves `files` by their path and notes what was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.files: dict[str, Served] = {}
        #: Path and range of every request.
        self.asked: list[tuple[str, str | None]] = []
        self.over = threading.Event()
        self.scheme = "http"

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}{path}"

    def put(self, path: str, data: bytes | str, **how: Any) -> str:
        """Serve a file, in place of the one that was there, and return its URL."""
        self.files[path] = Served(data.encode() if isinstance(data, str) else data, **how)
        return self.url(path)

    def handle_error(self, *_: Any) -> None:
        """Say nothing of clients that went away in the middle of an answer: they may."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FileServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        byte_range = self.headers["Range"]
        self.server.asked.append((path, byte_range))
        served = self.server.files.get(path)
        if served is None:
            self.send_error(404)
            return
        if served.status != 200:
            self.send_response(served.status)
            self._end_headers(served, b"", 0)
            return
        start, stop = self._wanted(served, byte_range)
        if start >= len(served.data) and byte_range and served.has_ranges:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(served.data)}")
            self._end_headers(served, b"", 0)
            return
        data = served.data[start:stop]
        if byte_range and served.has_ranges:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(served.data)}")
        else:
            self.send_response(200)
        self._end_headers(served, data, start)

    def _wanted(self, served: Served, byte_range: str | None) -> tuple[int, int]:
        found = _RANGE.match(byte_range or "") if served.has_ranges else None
        if not found:
            return 0, len(served.data)
        return int(found[1]), min(int(found[2]) + 1, len(served.data)) if found[2] else len(served.data)

    def _end_headers(self, served: Served, data: bytes, start: int) -> None:
        for name, value in served.headers.items():
            self.send_header(name, value)
        if served.tells_length:
            self.send_header("Content-Length", str(len(data)))
        else:
            # The end of the connection is the end of the file.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self._send(served, data, start)

    def _send(self, served: Served, data: bytes, start: int) -> None:
        limits = [limit for limit in (served.cut_after, served.silent_after) if limit is not None]
        sent = data[: max(0, min(limits) - start)] if limits else data
        self.wfile.write(sent)
        if sent == data:
            return
        self.close_connection = True
        if served.silent_after is not None:
            self.wfile.flush()
            self.server.over.wait(60.0)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def running_file_server(certificate: tuple[Path, Path] | None = None) -> Iterator[FileServer]:
    """Have a web server run on a free port of this machine; with a certificate and its key it speaks TLS."""
    server = FileServer()
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.scheme = "https"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
