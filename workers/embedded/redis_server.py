"""The Redis of one run: no persistence, no port, a unix socket in a private directory; ended with the run.

Holds nothing of value (the ledger publishes again what a dead Redis lost), and is no client: it only asks `PING`.
"""

from __future__ import annotations

import re
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.embedded.child import Child
from workers.embedded.run_file import SOCKET_DIRECTORY_PREFIX, SOCKET_NAME, RunFile, remove_socket_directory
from workers.embedded.server_binary import find_server

#: Seconds until a started server must answer.
START_TIMEOUT_S = 30.0
#: Seconds until a `PING` counts as unanswered.
PING_TIMEOUT_S = 2.0
#: Seconds between two looks at a starting server.
START_POLL_S = 0.01
#: Seconds that the server may take to end; it has nothing to save.
STOP_GRACE_S = 5.0
#: Bytes; Linux takes 107 and macOS 103 for the path of a socket.
MAX_SOCKET_PATH_BYTES = 99

#: Paths that stand in an address as they are.
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_./+-]+")


class EmbeddedRedis:
    """A running Redis server; leaving `with` stops it and removes its directory."""

    def __init__(self, directory: Path, child: Child) -> None:
        """Take a socket directory and a described server; `start` makes both."""
        self._directory = directory
        self._child = child

    @classmethod
    def start(cls, home: Path, run_file: RunFile) -> Self:
        """Start a server that logs to `logs/redis.log` in the home, and wait until it answers.

        Raises `UsageError` when the machine has no server, `HanmillError` with the log's end when it does not answer.
        """
        program = find_server()
        directory = make_socket_directory()
        run_file.record_socket_directory(directory)
        command = [str(program), *_options(directory)]
        log_path = home.absolute() / "logs" / "redis.log"
        child = Child(name="Redis", command=command, log_path=log_path, run_file=run_file)
        server = cls(directory, child)
        try:
            child.start()
            server._wait()
        except BaseException:
            server.stop()
            raise
        return server

    @property
    def socket_path(self) -> Path:
        """The unix socket, the same over a restart."""
        return self._directory / SOCKET_NAME

    @property
    def url(self) -> str:
        """The address as Celery takes it."""
        return f"redis+socket://{self.socket_path}"

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._child.pid

    def is_running(self) -> bool:
        """Tell whether the server's process lives."""
        return self._child.is_running()

    def tend(self) -> bool:
        """Start a fresh, empty server when this one has died; tell whether that was so.

        Raises `HanmillError` with the log's end when it dies again and again, or does not answer.
        """
        if self._child.is_running():
            return False
        self.restart()
        return True

    def restart(self) -> None:
        """Put a fresh, empty server in place of this one, dead or alive, on the same socket.

        Raises `HanmillError` with the log's end when that happens again and again, or when it does not answer.
        """
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._child.start_again()
        self._wait()

    def stop(self) -> None:
        """Stop the server and remove its directory; doing it twice does no harm."""
        try:
            self._child.stop(STOP_GRACE_S)
        finally:
            remove_socket_directory(self._directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not answers(self.socket_path):
            if not self._child.is_running():
                self._child.fail("ended at its start")
            if time.monotonic() > deadline:
                self._child.fail(f"does not answer after {START_TIMEOUT_S:.0f} s")
            time.sleep(START_POLL_S)


def answers(socket_path: Path) -> bool:
    """Tell whether a server on that socket answers `PING`."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PING_TIMEOUT_S)
            connection.connect(str(socket_path))
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def make_socket_directory() -> Path:
    """Make a directory for this user alone, its path short enough for a socket and plain enough for a URL."""
    directory = Path(tempfile.mkdtemp(prefix=SOCKET_DIRECTORY_PREFIX))
    path = str(directory / SOCKET_NAME)
    if len(path) <= MAX_SOCKET_PATH_BYTES and _PLAIN_PATH.fullmatch(path):
        return directory
    directory.rmdir()
    return Path(tempfile.mkdtemp(prefix=SOCKET_DIRECTORY_PREFIX, dir="/tmp"))


def _options(directory: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(directory / SOCKET_NAME),
        "unixsocketperm": "700",
        "dir": str(directory),
        "daemonize": "no",
        "save": "",
        "appendonly": "no",
        # A queue must refuse what it cannot hold; evicting would drop messages without a word.
        "maxmemory-policy": "noeviction",
    }
    return [part for name, value in options.items() for part in (f"--{name}", value)]
