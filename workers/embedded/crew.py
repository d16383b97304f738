"""The worker of one run: started, started again when it dies alone, ended in order. Knows no Celery and no job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from workers.embedded.child import Child
from workers.embedded.run_file import RunFile

#: Seconds that a worker may take to finish what it has begun when the run ends.
STOP_GRACE_S = 10.0


class Crew:
    """A worker process with its pool; entering `with` starts it, leaving stops it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        nodename: str,
        environment: Mapping[str, str],
        log_path: Path,
        run_file: RunFile,
    ) -> None:
        """Describe the worker; nothing is started. The environment is added to this process's own.

        Its leases must be held by `NODENAME/PID/…`, PID being the process started here; several crews of one run need
        different node names.
        """
        self._nodename = nodename
        self._child = Child(
            name=f"the worker {nodename}",
            command=command,
            log_path=log_path,
            run_file=run_file,
            nodename=nodename,
            environment=environment,
        )

    @property
    def pid(self) -> int:
        """The process id of the worker's main process."""
        return self._child.pid

    @property
    def was_started(self) -> bool:
        """Say whether the worker has, or had, a process."""
        return self._child.was_started

    @property
    def prefix(self) -> str:
        """How the worker ids of the present process begin: `embedded@HOST/PID/`."""
        return f"{self._nodename}/{self._child.pid}/"

    def is_running(self) -> bool:
        """Tell whether the worker's main process lives."""
        return self._child.is_running()

    def start(self) -> None:
        """Start the worker; call this and `tend` from the main thread.

        Raises `UsageError` when its log cannot be written.
        """
        self._child.start()

    def tend(self) -> list[str]:
        """Start a fresh worker when this one has died; to be called about twice a second.

        Returns the beginnings of the worker ids whose leases nobody holds any more: none as long as all is well. Raises
        `HanmillError` with the log's end when the worker dies again and again.
        """
        if self._child.is_running():
            return []
        died = self.prefix
        self._child.start_again()
        return [died]

    def stop(self, grace_s: float = STOP_GRACE_S) -> None:
        """Let the worker finish what it has begun, at most so many seconds, then end it; twice does no harm."""
        self._child.stop(grace_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
