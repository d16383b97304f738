"""Starts `hanmill exporter` as an operator would, and reads what it shows."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, build_opener

from prometheus_client.parser import text_string_to_metric_families

from tests.support.availability import REPOSITORY
from tests.support.deployment import stop
from tests.support.flower_server import free_port
from tests.support.processes import wait_until

TIMEOUT_S = 120.0
#: {("hanmill_jobs", frozenset({("state", "done"), …})): 1.0}
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def fetch(url: str) -> tuple[int, str]:
    """Return the status and the body of an answer."""
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S) as response:
            return response.status, response.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples_of(text: str) -> Samples:
    """Return every sample of a scrape, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def names_of(text: str) -> set[str]:
    """Return the names of all samples of a scrape."""
    return {name for name, _ in samples_of(text)}


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Return the key of a sample."""
    return name, frozenset(labels.items())


@dataclass(frozen=True, slots=True)
class ExporterServer:
    """An exporter that runs."""

    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def address(self) -> str:
        """Return where it listens, as Prometheus writes it."""
        return f"127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, str]:
        """Return the status and the body of an answer."""
        return fetch(f"http://{self.address}{path}")

    def scrape(self) -> Samples:
        """Return what it shows."""
        status, text = self.get("/metrics")
        assert status == 200, text
        return samples_of(text)


@contextmanager
def running_exporter(environment: Mapping[str, str], home: Path) -> Iterator[ExporterServer]:
    """Have an exporter run on a free port, and ended in order."""
    port = free_port()
    log = home / "exporter.log"
    command = [sys.executable, "-m", "workers.cli.main", "exporter", f"--port={port}"]
    with log.open("ab") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, env=dict(environment), cwd=REPOSITORY)
    server = ExporterServer(port, process, log)
    try:
        wait_until(lambda: _is_up(server), "the exporter answers")
        yield server
    finally:
        stop(process)


def _is_up(server: ExporterServer) -> bool:
    assert server.process.poll() is None, f"the exporter ended: {server.log.read_text(encoding='utf-8')}"
    with suppress(URLError, OSError):
        return server.get("/-/healthy")[0] == 200
    return False
