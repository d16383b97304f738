"""TLS in front of a test's Redis, whose own binary may know none: a certificate, and a thread that forwards."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from urllib.parse import urlsplit

from tests.support.availability import give_up


@contextmanager
def tls_in_front(redis_url: str, directory: Path) -> Iterator[tuple[int, Path]]:
    """Listen with TLS for a Redis on a unix socket or a port; yields the port and the certificate to trust."""
    certificate, key = make_certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    proxy = _Proxy(redis_url)
    server = asyncio.run_coroutine_threadsafe(
        asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context), loop
    ).result()
    try:
        yield server.sockets[0].getsockname()[1], certificate
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def make_certificate(directory: Path) -> tuple[Path, Path]:
    """Return the files of a certificate for 127.0.0.1, and of its key."""
    program = which("openssl")
    if program is None:
        give_up("there is no openssl on the PATH to make a certificate with")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*command, "-out", certificate, "-keyout", key], check=True, capture_output=True)
    return certificate, key


class _Proxy:
    def __init__(self, redis_url: str) -> None:
        self._place = urlsplit(redis_url)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._place.port:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._place.port)
        else:
            inner_reader, inner_writer = await asyncio.open_unix_connection(self._place.path)
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            # At once, also where the other side broke off in the middle of a handshake.
            writer.transport.abort()
            inner_writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # What was broken off is told so in the next rounds of the loop.
    for _ in range(3):
        await asyncio.sleep(0)
