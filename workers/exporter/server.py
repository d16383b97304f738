"""The exporter's HTTP server: `/metrics` for Prometheus, `/-/healthy` for probes. Asks for no password."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, make_wsgi_app
from prometheus_client.registry import Collector

from storage.errors import UsageError

#: Seconds that a client has for its request, and for taking the answer.
CLIENT_TIMEOUT_S = 10.0

_TEXT = [("Content-Type", "text/plain; charset=utf-8")]


class _Server(ThreadingMixIn, WSGIServer):
    """Answers every request in a thread of its own: one that waits for the database holds up no probe."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        """Take the address, without asking a name server what it is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_TIMEOUT_S

    def log_message(self, *_: Any) -> None:
        """Write nothing: a line for every scrape says nothing."""


def make_server(address: str, port: int, collector: Collector) -> WSGIServer:
    """Return a server that listens; raises `UsageError` when it cannot."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    # The exporter's own memory, time and open files, as process_….
    ProcessCollector(registry=registry)
    try:
        family, _, _, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        kind = type("_FamilyServer", (_Server,), {"address_family": family})
        server: WSGIServer = kind(place[:2], _Handler)
    except OSError as error:
        message = f"the exporter cannot listen on {address}:{port} ({error.strerror}); name others by --address, --port"
        raise UsageError(message) from error
    server.set_app(_application(make_wsgi_app(registry)))
    return server


def _application(metrics: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start_response)
        if path == "/-/healthy":
            # That the database is away is no fault of this process, and no reason to end it.
            start_response("200 OK", _TEXT)
            return [b"healthy\n"]
        start_response("200 OK" if path == "/" else "404 Not Found", _TEXT)
        return [b"hanmill: see /metrics and /-/healthy\n"]

    return answer
