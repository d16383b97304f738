"""Looks at processes and waits for what they do. Starts none."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

#: Seconds after which a condition counts as never coming; far above what it takes.
PATIENCE_S = 180.0


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie that nobody has collected does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fails with the words that say what did not come."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"in {PATIENCE_S:.0f} s this did not come: {what}"
        time.sleep(0.005)
