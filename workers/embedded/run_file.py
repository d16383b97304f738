"""Writes down what a run has started (`run.json`), and ends what a killed run left behind.

Call its functions with the home's lock held. Frees no leases itself: it says whose.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from storage.errors import HanmillError

#: Seconds by which the start times of one process may differ between two readings: they are computed from the time of
#: boot, which the kernel states in whole seconds and moves when the clock is set.
START_TIME_TOLERANCE_S = 2.0
#: Seconds to wait for killed processes to be gone.
KILLED_WAIT_S = 10.0
#: Seconds between two looks at killed processes.
KILLED_POLL_S = 0.01
#: How the directory of an embedded Redis is called, and what lies in it; nothing else is ever removed.
SOCKET_DIRECTORY_PREFIX = "hanmill-"
SOCKET_NAME = "redis.sock"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RecordedChild:
    """A started process; pid and start time together name it for ever, the pid alone does not."""

    name: str
    pid: int
    #: Seconds since 1970, as the operating system states it.
    create_time: float
    #: The first part of the worker ids of its leases; empty when it leases nothing.
    nodename: str = ""


class RunFile:
    """The file `run.json` of a home; leaving `with`, when all that was started has been ended, removes it."""

    def __init__(self, home: Path) -> None:
        """Name the file; nothing is read or written."""
        self._path = home.absolute() / "run.json"
        self._started_at = datetime.now().astimezone().isoformat(timespec="seconds")
        self._socket_directory = ""
        self._children: dict[str, RecordedChild] = {}

    def record_socket_directory(self, directory: Path) -> None:
        """Write down the directory to remove when this run is killed."""
        self._socket_directory = str(directory)
        self._write()

    def record(self, name: str, pid: int, nodename: str = "") -> None:
        """Write down a process that was just started, in place of the one of that name before it."""
        try:
            create_time = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            # Dead already: no process matches this start time.
            create_time = 0.0
        self._children[name] = RecordedChild(name, pid, create_time, nodename)
        self._write()

    def remove(self) -> None:
        """Remove the file; for a run that has ended everything it started."""
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()

    def end_leftovers(self) -> list[str]:
        """End the processes that a killed run left behind, with their descendants, and remove its socket.

        Returns the beginnings of the worker ids (`embedded@HOST/PID/`) whose leases nobody holds any more. Raises
        `HanmillError` when a process does not end.
        """
        socket_directory, children = self._read()
        for child in children:
            _end(child)
        if socket_directory:
            remove_socket_directory(Path(socket_directory))
        self.remove()
        return [f"{child.nodename}/{child.pid}/" for child in children if child.nodename]

    def _read(self) -> tuple[str, list[RecordedChild]]:
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            return str(content["socket_directory"]), [RecordedChild(**child) for child in content["children"]]
        except FileNotFoundError:
            return "", []
        except (ValueError, KeyError, TypeError):
            # The file is written whole or not at all, so this is a power cut or a person; nothing can be told from it.
            _logger.warning("run.file_damaged", extra={"path": str(self._path)})
            return "", []

    def broker_url(self) -> str | None:
        """Return the address of the Redis of the run that goes on, None when there is none."""
        socket_directory, _ = self._read()
        path = Path(socket_directory) / SOCKET_NAME
        return f"redis+socket://{path}" if socket_directory and path.is_socket() else None

    def _write(self) -> None:
        content = {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "socket_directory": self._socket_directory,
            "children": [asdict(child) for child in self._children.values()],
        }
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = self._path.with_name("run.json.new")
        unfinished.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        unfinished.replace(self._path)


def remove_socket_directory(directory: Path) -> None:
    """Remove the directory of an embedded Redis; any other directory, and one with other files in it, stays."""
    if not directory.name.startswith(SOCKET_DIRECTORY_PREFIX):
        return
    with suppress(OSError):
        (directory / SOCKET_NAME).unlink(missing_ok=True)
        directory.rmdir()


def _end(child: RecordedChild) -> None:
    try:
        process = psutil.Process(child.pid)
        if abs(process.create_time() - child.create_time) > START_TIME_TOLERANCE_S:
            return
        family = [process, *process.children(recursive=True)]
        _kill_group(process.pid)
    except psutil.NoSuchProcess:
        return
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.kill()
    deadline = time.monotonic() + KILLED_WAIT_S
    while any(_is_alive(member) for member in family):
        if time.monotonic() > deadline:
            message = f"{child.name} of an earlier run (pid {child.pid}) does not end; end it, then try again"
            raise HanmillError(message)
        time.sleep(KILLED_POLL_S)


def _kill_group(pid: int) -> None:
    # Descendants whose own parent has ended are no longer found as children, but they are still in the group.
    with suppress(ProcessLookupError, PermissionError):
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)


def _is_alive(process: psutil.Process) -> bool:
    # A zombie is dead; when it is collected, if ever, depends on a stranger (the first process of a container).
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
