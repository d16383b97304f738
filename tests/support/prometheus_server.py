"""A real Prometheus for a test, with the configuration of the deployment but for the address and the pace."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode

import yaml

from tests.support.availability import REPOSITORY, give_up
from tests.support.exporter_server import fetch
from tests.support.flower_server import free_port
from tests.support.processes import wait_until

CONFIGURATION = REPOSITORY / "deploy" / "prometheus" / "prometheus.yml"


def promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, the checker that comes with Prometheus."""
    binary = shutil.which("promtool")
    if binary is None:
        give_up("there is no promtool on the PATH (Debian's package prometheus)")
    return subprocess.run([binary, *arguments], check=False, capture_output=True, text=True, input=text, timeout=180)


@dataclass(frozen=True, slots=True)
class PrometheusServer:
    """A Prometheus that runs."""

    port: int

    @property
    def url(self) -> str:
        """Return the address of its page."""
        return f"http://127.0.0.1:{self.port}"

    def ask(self, path: str, **query: str) -> Any:
        """Return the data of an answer of its API."""
        status, text = fetch(f"{self.url}/api/v1/{path}?{urlencode(query)}")
        assert status == 200, text
        return json.loads(text)["data"]

    def value(self, expression: str) -> float | None:
        """Return the value of an expression that has one at most."""
        found: Sequence[Any] = self.ask("query", query=expression)["result"]
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def target_health(self) -> str:
        """Return how the exporter is: up, down or unknown."""
        # For some seconds after its start it has not looked into its configuration, and knows of none.
        found = [str(target["health"]) for target in self.ask("targets", state="active")["activeTargets"]]
        return found[0] if found else "unknown"

    def alerts_page(self) -> str:
        """Return the address of the page that shows alerts; Debian's package has the older pages only."""
        page = f"{self.url}/alerts"
        return page if fetch(page)[0] == 200 else f"{self.url}/classic/alerts"

    def firing(self) -> set[str]:
        """Return the names of the alerts that fire."""
        return {alert["labels"]["alertname"] for alert in self.ask("alerts")["alerts"] if alert["state"] == "firing"}


@contextmanager
def running_prometheus(target: str, directory: Path, pace: str = "1s") -> Iterator[PrometheusServer]:
    """Have a Prometheus ask one exporter at that pace; end it by its process id."""
    binary = shutil.which("prometheus")
    if binary is None:
        give_up("there is no prometheus on the PATH (Debian's package prometheus)")
    server = PrometheusServer(free_port())
    configuration = directory / "prometheus.yml"
    configuration.write_text(json.dumps(_configuration(target, pace)), encoding="utf-8")
    shutil.copy(CONFIGURATION.parent / "alerts.yml", directory)
    # By their names alone: they stand on its pages.
    command = [binary, f"--config.file={configuration.name}", "--storage.tsdb.path=tsdb"]
    command += [f"--web.listen-address=127.0.0.1:{server.port}", "--log.level=warn"]
    with (directory / "prometheus.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=directory)
    try:
        wait_until(lambda: _is_up(server, process, directory), "Prometheus answers")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _configuration(target: str, pace: str) -> Any:
    configuration = yaml.safe_load(CONFIGURATION.read_text(encoding="utf-8"))
    configuration["global"] |= {"scrape_interval": pace, "scrape_timeout": pace, "evaluation_interval": pace}
    (job,) = configuration["scrape_configs"]
    job["static_configs"] = [{"targets": [target]}]
    return configuration


def _is_up(server: PrometheusServer, process: subprocess.Popen[bytes], directory: Path) -> bool:
    log = directory / "prometheus.log"
    assert process.poll() is None, f"Prometheus ended: {log.read_text(encoding='utf-8')}"
    with suppress(URLError, OSError):
        return fetch(f"{server.url}/-/ready")[0] == 200
    return False
