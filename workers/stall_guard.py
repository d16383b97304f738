"""Watches that the work on a shard's documents goes on, and ends work that does not: a document may never end.

It is asked for nothing and looks at nothing but a count. Does nothing outside of a worker's pool, whose processes alone
may be ended: a fresh one is started in place of each.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from billiard.exceptions import SoftTimeLimitExceeded
from billiard.pool import soft_timeout_sighandler

#: The status of a process that ended because its work did not go on, and could not be stopped otherwise.
EXIT_STALLED = 71
#: Looks at the work in the shorter one of its limits.
LOOKS_PER_LIMIT = 8
#: How much longer than the limit a process may take to stop its work by itself.
PATIENCE = 1.5
#: Where the interpreter writes what a frozen process was at: the standard error, of which it needs the number.
_STDERR = 2


def in_pool() -> bool:
    """Say whether this process is one of a worker's pool, which is replaced when it ends."""
    # By the pool's own handler, which raises `SoftTimeLimitExceeded`: a main process has another one.
    return signal.getsignal(signal.SIGUSR1) is soft_timeout_sighandler


class StalledError(Exception):
    """No document was finished for too long. Its shard fails, and is halved until the document stands alone."""


class StallGuard:
    """A context whose work must go on: `progress` gives another value whenever some of it is done.

    Three things may be in its way. Python code, and C code that looks at signals, are interrupted after `stall_s`, and
    the context raises `StalledError`. Where that helps nothing, the process ends with `EXIT_STALLED` half as long
    after. C code that keeps the interpreter for itself lets no thread run, neither this one nor the one that renews the
    lease: a timer of the interpreter's own then ends the process with status 1 after `frozen_s`, and writes down where
    it was.
    """

    def __init__(self, stall_s: float, frozen_s: float, progress: Callable[[], object]) -> None:
        self._stall_s = stall_s
        self._frozen_s = frozen_s
        self._progress = progress
        self._has_interrupted = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        """Start to watch."""
        if in_pool():
            self._thread = threading.Thread(target=self._watch, name="stall-guard", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to watch; raises `StalledError` in place of the interruption that was this guard's."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            faulthandler.cancel_dump_traceback_later()
        if self._has_interrupted and isinstance(error, SoftTimeLimitExceeded):
            message = f"no document was finished for {self._stall_s:,.0f} s (HANMILL_STALL_LIMIT_S)"
            raise StalledError(message) from error

    def _watch(self) -> None:
        done, since = self._progress(), time.monotonic()
        while True:
            faulthandler.dump_traceback_later(self._frozen_s, exit=True, file=_STDERR)
            if self._stop.wait(min(self._stall_s, self._frozen_s) / LOOKS_PER_LIMIT):
                return
            now_done = self._progress()
            if now_done != done:
                done, since = now_done, time.monotonic()
            self._judge(time.monotonic() - since)

    def _judge(self, stalled_s: float) -> None:
        if stalled_s >= PATIENCE * self._stall_s:
            # Not `sys.exit`: the thread that hangs is not this one.
            os._exit(EXIT_STALLED)
        if stalled_s >= self._stall_s and not self._has_interrupted:
            self._has_interrupted = True
            # To the main thread itself, so that what it waits for is interrupted too.
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
