"""Lets one `hanmill run` at a time work in a home. Ends nobody, and knows nothing of what a run starts."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from storage.errors import UsageError

#: What `flock` says when somebody else holds the lock.
_HELD = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


class HomeLock:
    """The lock of a home, held inside `with`; the kernel lets go of it when this process ends, however it ends.

    Entering raises `UsageError` when another run holds it, or when the home cannot be written or locked.
    """

    def __init__(self, home: Path) -> None:
        self._home = home.absolute()
        self._path = self._home / "run.lock"
        self._descriptor = -1

    def __enter__(self) -> Self:
        try:
            self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            message = f"the home {self._home} cannot be written ({error.strerror}); set HANMILL_HOME to another one"
            raise UsageError(message) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise UsageError(self._refusal(error)) from error
        self._descriptor = descriptor
        self._write_holder()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The file stays: whoever removed it could remove the one that a third run has locked meanwhile.
        os.close(self._descriptor)
        self._descriptor = -1

    def _write_holder(self) -> None:
        holder = {"pid": os.getpid(), "started_at": datetime.now().astimezone().isoformat(timespec="seconds")}
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)

    def _refusal(self, error: OSError) -> str:
        if error.errno not in _HELD:
            return f"{self._path} cannot be locked ({error.strerror}); set HANMILL_HOME to a directory on a local disk"
        return f"another `hanmill run`{self._holder()} works in {self._home}; wait for it or set HANMILL_HOME"

    def _holder(self) -> str:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
            started_at = datetime.fromisoformat(holder["started_at"]).astimezone()
            pid = int(holder["pid"])
        except (OSError, ValueError, KeyError, TypeError):
            # The other run has locked the file and not yet written who it is.
            return ""
        today = started_at.date() == datetime.now().astimezone().date()
        return f" (pid {pid}, since {started_at:{'%H:%M:%S' if today else '%Y-%m-%d %H:%M:%S'}})"
