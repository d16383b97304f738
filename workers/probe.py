"""Says whether a process lives and whether it is ready, by files that it touches itself. Asks nobody over the queue.

A worker's main process, or a beat, touches `run/NAME.alive` in its home every few seconds from the very loop that does
its work: a loop that hangs, a process that is stopped or dead, let the file grow old. `run/NAME.ready` is there while
the process is connected to the broker and does what it is for. What the pool's processes compute, and for how long,
plays no part. Imports little: a probe runs every few seconds for ever.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two touches.
TOUCH_S = 2.0
#: Seconds after which a file that was not touched says that its process hangs. More than the time for which a broker
#: that answers nothing can keep the loop waiting.
STALE_S = 60.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all is well, and why it is not."""

    healthy: bool
    reason: str = ""


class ProbeFiles:
    """The two files of one process, which is the only one to write them."""

    def __init__(self, home: Path, name: str) -> None:
        """`name` is the process's name in its home: the part of a worker's name before the `@`."""
        self._folder = home / "run"
        self._name = name
        self.alive = self._folder / f"{name}.alive"
        self.ready = self._folder / f"{name}.ready"

    def touch_alive(self) -> None:
        """Say that the loop goes round."""
        self._write(self.alive)

    def set_ready(self, *, ready: bool) -> None:
        """Say whether the process can do what it is for."""
        if ready:
            self._write(self.ready)
        else:
            self.ready.unlink(missing_ok=True)

    def live(self, stale_s: float = STALE_S) -> Verdict:
        """Judge whether the process lives and its loop goes round."""
        found = _read(self.alive)
        if found is None:
            return Verdict(healthy=False, reason=f"there is no {self.alive}: {self._name} was never started here")
        pid, touched_at_s = found
        if not _exists(pid):
            return Verdict(healthy=False, reason=f"{self._name} is not running: its process {pid} has ended")
        # The system's monotonic clock, the same for all processes: a wall clock that is set must kill no worker.
        age_s = time.monotonic() - touched_at_s
        if not 0 <= age_s <= stale_s:
            return Verdict(healthy=False, reason=f"{self._name} hangs: its last sign of life is {age_s:.0f} s old")
        return Verdict(healthy=True)

    def is_ready(self, stale_s: float = STALE_S) -> Verdict:
        """Judge whether the process lives and can do what it is for."""
        verdict = self.live(stale_s)
        if not verdict.healthy:
            return verdict
        found, alive = _read(self.ready), _read(self.alive)
        if found is None or alive is None or found[0] != alive[0]:
            return Verdict(healthy=False, reason=f"{self._name} is not connected to the broker, or not yet")
        return Verdict(healthy=True)

    def _write(self, path: Path) -> None:
        # A full or lost disk must not end the loop: the file grows old, and that says enough.
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Whole or not at all: a probe may read at any moment.
            fresh = path.with_name(f"{path.name}.{os.getpid()}")
            fresh.write_text(json.dumps({"pid": os.getpid(), "at_s": time.monotonic()}), encoding="utf-8")
            fresh.replace(path)


def _read(path: Path) -> tuple[int, float] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return int(content["pid"]), float(content["at_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        # It is another user's, and there.
        return True
    return True


def probe_url(url: str, timeout_s: float) -> Verdict:
    """Judge by whether a process answers an HTTP request with success."""
    from urllib.error import URLError  # noqa: PLC0415 - only exporter and Flower are asked this way
    from urllib.request import ProxyHandler, build_opener  # noqa: PLC0415

    # No proxy of the environment: the process is on this machine.
    opener = build_opener(ProxyHandler({}))
    try:
        with opener.open(url, timeout=timeout_s):
            return Verdict(healthy=True)
    except (URLError, OSError, ValueError) as error:
        return Verdict(healthy=False, reason=f"{url} does not answer: {error}")
