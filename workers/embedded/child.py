"""One process that ends with this one: started, asked whether it lives, started again when it died, ended.

Does not know what the process does, and looks at it only when asked.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, NoReturn

from storage.errors import HanmillError, UsageError
from workers.embedded.run_file import RunFile

#: Seconds; deaths older than this are forgiven.
DEATHS_WINDOW_S = 60.0
#: Deaths within the window that are answered with a fresh process; one more is an error.
MAX_DEATHS = 5
#: Bytes; a log that is longer when its process starts becomes `NAME.log.1`, in place of the one before.
MAX_LOG_BYTES = 16 * 1024 * 1024
#: How many of the log's last lines an error quotes, and the bytes that are searched for them.
QUOTED_LINES = 12
QUOTED_BYTES = 8192

_LAUNCHER = Path(__file__).with_name("launcher.py")


@dataclass(kw_only=True)
class Child:
    """A process with a name, a command and a log, recorded in the run file whenever it starts."""

    #: As errors call it, and unique in the run.
    name: str
    command: Sequence[str]
    log_path: Path
    run_file: RunFile
    #: The first part of the worker ids of its leases; empty when it leases nothing.
    nodename: str = ""
    #: Added to this process's own.
    environment: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _session_may_live: bool = field(default=False, init=False)
    _log_offset: int = field(default=0, init=False)
    _deaths: deque[float] = field(default_factory=deque, init=False)

    @property
    def pid(self) -> int:
        """The process id; the last one's when the process has ended."""
        if self._process is None:
            message = f"{self.name} was never started"
            raise RuntimeError(message)
        return self._process.pid

    @property
    def was_started(self) -> bool:
        """Say whether the process was ever started."""
        return self._process is not None

    def is_running(self) -> bool:
        """Tell whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process, in a session of its own; call this from the main thread.

        Raises `UsageError` when the log cannot be written.
        """
        # Linux sends the death signal when the *thread* that started the process ends.
        if threading.current_thread() is not threading.main_thread():
            message = f"{self.name} must be started from the main thread"
            raise RuntimeError(message)
        # Its own session: Ctrl-C in the terminal reaches this process alone, which then ends its children in order.
        with _open_log(self.log_path) as log:
            self._log_offset = log.tell()
            self._process = subprocess.Popen(  # noqa: S603 - the command is the program's own
                [sys.executable, "-I", "-S", str(_LAUNCHER), str(os.getpid()), *self.command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self._session_may_live = True
        try:
            self.run_file.record(self.name, self._process.pid, self.nodename)
        except BaseException:
            self._kill_session()
            raise

    def start_again(self) -> None:
        """Start a fresh process in place of one that died.

        Raises `HanmillError` with the log's last lines when it died too often of late.
        """
        self._kill_session()
        died_at = time.monotonic()
        self._deaths.append(died_at)
        while self._deaths[0] < died_at - DEATHS_WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > MAX_DEATHS:
            self.fail(f"died {len(self._deaths)} times within {DEATHS_WINDOW_S:.0f} s")
        self.start()

    def stop(self, grace_s: float) -> None:
        """Ask the process to end, and end it and its descendants after the grace; an ended one is left alone."""
        if self._process is None:
            return
        try:
            self._process.terminate()
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Also when a second Ctrl-C interrupts the wait: nothing may outlive this call.
            self._kill_session()

    def fail(self, what: str) -> NoReturn:
        """Raise the `HanmillError` that says what happened to it, how it ended, and the last lines of its log."""
        quoted = "\n".join(f"  {line}" for line in self._last_lines()) or "  (nothing)"
        message = f"{self.name} {what}{self._ending()}; its log {self.log_path} ends with:\n{quoted}"
        raise HanmillError(message)

    def _ending(self) -> str:
        status = None if self._process is None else self._process.poll()
        if status is None:
            return ""
        if status >= 0:
            return f" (exit status {status})"
        return f" ({signal.strsignal(-status) or f'signal {-status}'})"

    def _last_lines(self) -> list[str]:
        try:
            with self.log_path.open("rb") as log:
                size_bytes = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_offset, size_bytes - QUOTED_BYTES))
                text = log.read().decode("utf-8", "replace")
        except OSError:
            return []
        return [line for line in text.splitlines() if line.strip()][-QUOTED_LINES:]

    def _kill_session(self) -> None:
        # Once only: later, the number may belong to strangers.
        if self._process is None or not self._session_may_live:
            return
        # The process leads a group of its own pid. When it is dead and reaped, descendants may still live in that
        # group, and while they do, the kernel gives the number to nobody else. macOS refuses a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._session_may_live = False


def _open_log(path: Path) -> BinaryIO:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
        return path.open("ab")
    except OSError as error:
        message = f"the log {path} cannot be written ({error.strerror}); set HANMILL_HOME to a directory that can"
        raise UsageError(message) from error
