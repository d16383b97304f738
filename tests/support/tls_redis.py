"""The deployment's Redis behind TLS: its own where the binary knows it, else a proxy in front of it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.guarded_redis import GuardedRedis
from tests.support.processes import wait_until
from tests.support.tls_proxy import make_certificate, tls_in_front


@contextmanager
def guarded_by_tls(guarded: GuardedRedis, password: str, directory: Path) -> Iterator[tuple[str, Path]]:
    """Start it with its users; yields its address without options, and the file of the certificate to trust."""
    if knows_tls(guarded.programs / "redis-server"):
        certificate, key = make_certificate(directory)
        guarded.start(password, tls=(certificate, key))
        wait_until(lambda: _answers_tls(guarded.port, certificate), "Redis answers by TLS")
        yield f"rediss://hanmill:{password}@127.0.0.1:{guarded.port}/0", certificate
        return
    guarded.start(password)
    wait_until(lambda: guarded.answers(password), "Redis answers")
    with tls_in_front(guarded.url(password), directory) as (port, certificate):
        yield f"rediss://hanmill:{password}@127.0.0.1:{port}/0", certificate


def knows_tls(binary: Path) -> bool:
    """Say whether a server was built with TLS: only such a one asks for a certificate."""
    place = Path(shutil.which(binary) or binary)
    command = [
        str(place),
        "--port",
        "0",
        "--tls-port",
        "1",
        "--tls-cert-file",
        "/nowhere",
        "--tls-key-file",
        "/nowhere",
    ]
    said = subprocess.run(command, capture_output=True, timeout=120, check=False, text=True).stdout
    return "Failed to configure TLS" in said or "Failed to load certificate" in said


def _answers_tls(port: int, certificate: Path) -> bool:
    context = ssl.create_default_context(cafile=str(certificate))
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname="127.0.0.1"),
        ):
            return True
    except OSError:
        return False
