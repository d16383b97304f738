"""A real deployment for tests: a database, a Redis, worker processes, and the producer's side in this process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from storage import jobs
from storage.corpora import corpus_id_of
from storage.engine import reading
from storage.sources import ListingOptions
from storage.states import JobState
from storage.word_counts import by_count, current_generation
from workers.bootstrap import Parts, build_parts
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher, queue_state
from workers.reconcile import reconcile
from workers.settings import Settings
from workers.submit import Order, Submitted, submit

REPOSITORY = Path(__file__).parents[2]
ENDED = {JobState.DONE, JobState.DONE_WITH_DEAD, JobState.FAILED, JobState.CANCELLED, JobState.STOPPED}


class Deployment:
    """One deployment in one home directory; `workers()` starts and ends its worker processes."""

    def __init__(self, home: Path, database_url: str, broker_url: str, **settings: Any) -> None:
        values = {"reconcile_interval_s": 1.0, "lease_s": 10.0, **settings}
        self.settings = Settings(home=home, database_url=database_url, broker_url=broker_url, **values)
        self.parts: Parts = build_parts(self.settings)
        app = build_app(self.settings)
        self.publisher = CeleryPublisher(app)
        self._queue = queue_state(app)

    def environment(self) -> dict[str, str]:
        """Return the environment in which a worker of this deployment runs."""
        own = {
            f"HANMILL_{name.upper()}": str(getattr(self.settings, name))
            for name in self.settings.model_fields_set
            if name != "input_roots"
        }
        return {**os.environ, **own}

    def start_worker(self, concurrency: int = 1, name: str = "test", kind: str = "cpu") -> subprocess.Popen[bytes]:
        """Start a worker as an operator would."""
        log = self.settings.home / f"worker-{name}.log"
        command = [sys.executable, "-m", "celery", "-A", "workers.app", "worker", "--loglevel", "INFO"]
        command += ["-c", str(concurrency), "-Q", "hanmill.cpu,hanmill.control", "-n", f"{name}@%h"]
        command += ["--without-gossip", "--without-mingle"]
        if kind == "gpu":
            command = [sys.executable, "-m", "workers.cli.main", "worker", "gpu", "--device", "cpu", "--name", name]
        with log.open("ab") as stream:
            return subprocess.Popen(command, stdout=stream, stderr=stream, env=self.environment(), cwd=REPOSITORY)

    @contextmanager
    def workers(self, concurrency: int = 1, name: str = "test", kind: str = "cpu") -> Iterator[subprocess.Popen[bytes]]:
        """Have a worker run for the time of the context."""
        worker = self.start_worker(concurrency, name, kind)
        try:
            yield worker
        finally:
            stop(worker)

    def submit(self, inputs: Sequence[Path | str], corpus: str = "news", **order: Any) -> Submitted:
        """Submit inputs; every field of `Order` can be given."""
        listing = order.pop("listing", ListingOptions())
        values = {"operations": ["count"], "options": {}, **order}
        made = Order(corpus=corpus, inputs=[str(path) for path in inputs], listing=listing, **values)
        return submit(self.parts, self.publisher, made)

    def reconcile(self) -> None:
        """Do one pass of the reconciler in this process."""
        reconcile(self.parts, self.publisher, self._queue, at_once=True)

    def view(self, job_id: int) -> dict[str, Any]:
        """Return a job as it stands."""
        with reading(self.parts.engine) as connection:
            return jobs.view(connection, job_id)

    def wait(self, submitted: Submitted, timeout_s: float = 240.0) -> list[dict[str, Any]]:
        """Wait until every job has ended and return them as they stand."""
        wait_for(
            lambda: all(self.view(job.id)["state"] in ENDED for job in submitted.jobs),
            timeout_s,
            lambda: f"jobs end: {[self.view(job.id) for job in submitted.jobs]}",
        )
        return [self.view(job.id) for job in submitted.jobs]

    def counts(self, corpus: str = "news") -> dict[str, tuple[int, int]]:
        """Return {word: (count, documents)} of a corpus as readers see it."""
        with reading(self.parts.engine) as connection:
            generation = current_generation(connection, corpus_id_of(connection, corpus))
            assert generation is not None
            rows = list(by_count(connection, generation))
        counts = {word: (count, documents) for word, count, documents in rows}
        assert len(counts) == len(rows), "a word stands twice"
        return counts


def stop(worker: subprocess.Popen[bytes]) -> None:
    """End a worker that the test started, and everything it started."""
    if worker.poll() is not None:
        return
    family = psutil.Process(worker.pid).children(recursive=True)
    worker.send_signal(signal.SIGTERM)
    try:
        worker.wait(timeout=20)
    except subprocess.TimeoutExpired:
        worker.kill()
        worker.wait()
    for child in family:
        if child.is_running():
            child.kill()


def wait_for(condition: Callable[[], bool], timeout_s: float, what: Callable[[], str]) -> None:
    """Return when a condition holds; fail with what was waited for when it does not in time."""
    deadline = time.monotonic() + timeout_s
    pause = time.sleep
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain for: {what()}"
        pause(0.05)


def assert_adds_up(view: Mapping[str, Any]) -> None:
    """Check the equation that holds for every job."""
    assert view["documents"] == view["results"] + view["identical"] + view["replaced"] + view["dead"]
