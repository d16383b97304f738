"""Starts `hanmill flower` as an operator would, and asks it by HTTP."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.availability import REPOSITORY
from tests.support.deployment import stop, wait_for

#: Who may log in, unless a test says otherwise.
USER, PASSWORD = "ops", "quiet-night"
#: Seconds after which an answer, or what Flower is to have seen, counts as never coming.
TIMEOUT_S = 180.0
#: How the ids of the buttons begin by which the page of a worker changes something.
CONTROLS = ("worker-shutdown", "worker-pool-", "worker-cancel-", "worker-add-", "task-rate-limit-", "task-timeout-")


@dataclass(frozen=True, slots=True)
class Answer:
    """What Flower answered."""

    status: int
    text: str


@dataclass(frozen=True, slots=True)
class FlowerServer:
    """A Flower that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        """Return the address of its first page."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, *, method: str = "GET", user: str | None = f"{USER}:{PASSWORD}") -> Answer:
        """Send one request; `user` is `name:password`, None for nobody."""
        headers = {} if user is None else {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT_S)
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read().decode())
        finally:
            connection.close()

    def tasks(self) -> list[dict[str, Any]]:
        """Return the rows of the table of tasks, as the page gets them."""
        query = "draw=1&start=0&length=500&order%5B0%5D%5Bcolumn%5D=0&order%5B0%5D%5Bdir%5D=asc"
        answer = self.ask(f"/tasks/datatable?{query}&columns%5B0%5D%5Bdata%5D=name")
        assert answer.status == 200, answer.text
        rows: list[dict[str, Any]] = json.loads(answer.text)["data"]
        return rows

    def works(self) -> set[tuple[str, str]]:
        """Return (work, state) of every task."""
        return {(str(row["args"]), str(row["state"])) for row in self.tasks()}


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; fails with the words that say what did not come."""
    wait_for(condition, TIMEOUT_S, lambda: what)


def free_port() -> int:
    """Return a port that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_flower(
    environment: Mapping[str, str],
    home: Path,
    options: Sequence[str] = (),
    *,
    command: Sequence[str] = (sys.executable, "-m", "workers.cli.main", "flower"),
    users: str = f"{USER}:{PASSWORD}",
) -> Iterator[FlowerServer]:
    """Have Flower run on a free port, and ended in order."""
    port = free_port()
    log = home / "flower.log"
    known = {**environment, "HANMILL_FLOWER_USERS": users}
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*command, f"--port={port}", *options], stdout=stream, stderr=stream, env=known, cwd=REPOSITORY
        )
    server = FlowerServer(port, process, log)
    try:
        until(lambda: _is_up(server), "Flower answers")
        yield server
    finally:
        stop(process)


def _is_up(server: FlowerServer) -> bool:
    assert server.process.poll() is None, f"Flower ended: {server.log.read_text(encoding='utf-8')}"
    with suppress(OSError):
        return server.ask("/healthcheck", user=None).text == "OK"
    return False
