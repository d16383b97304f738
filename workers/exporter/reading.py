"""Reads one part of what the exporter shows in a thread of its own, so that no scrape ever waits for long or fails.

What was read is kept for a few seconds: two Prometheus servers cost no more than one. A part that does not answer is
away, and is not asked a second time while the first question stands.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from storage.errors import HanmillError
from storage.inspection import fault_of

logger = logging.getLogger(__name__)

Figures = TypeVar("Figures")

#: Seconds for which figures are kept.
CACHE_S = 5.0
#: Seconds that a part may take before a scrape goes on without it; Prometheus gives a scrape ten.
PATIENCE_S = 5.0


class _Reading(Generic[Figures]):
    """One try: it runs, or has ended with figures or without."""

    def __init__(self) -> None:
        self.begun_s = time.monotonic()
        self.ended = threading.Event()
        self.figures: Figures | None = None
        self.fault: str | None = None
        self.took_s = 0.0


class Part(Generic[Figures]):
    """Something that can be read, and may be away: the ledger, the history, the broker."""

    def __init__(
        self, name: str, read: Callable[[], Figures], *, cache_s: float = CACHE_S, patience_s: float = PATIENCE_S
    ) -> None:
        self.name = name
        self._read = read
        self._cache_s = cache_s
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._reading: _Reading[Figures] | None = None
        self._was_up: bool | None = None

    def begin(self) -> _Reading[Figures]:
        """Ask, unless the last answer is fresh or the last question has none yet; return what was asked last."""
        with self._lock:
            last = self._reading
            if last is not None and (not last.ended.is_set() or time.monotonic() - last.begun_s < self._cache_s):
                return last
            reading: _Reading[Figures] = _Reading()
            self._reading = reading
        # A daemon: a part that never answers must not keep the process from its end.
        threading.Thread(target=self._run, args=(reading,), name=f"read-{self.name}", daemon=True).start()
        return reading

    def figures(self) -> Figures | None:
        """Return what the part said, None while it is away; waits until `patience_s` after it was asked at most."""
        reading = self.begin()
        in_time = reading.ended.wait(max(reading.begun_s + self._patience_s - time.monotonic(), 0.0))
        fault = reading.fault if in_time else f"no answer in {self._patience_s:g} s"
        self._tell(fault)
        return reading.figures if fault is None else None

    @property
    def took_s(self) -> float:
        """Return the seconds that the last reading took, or has taken until now."""
        reading = self._reading
        if reading is None:
            return 0.0
        return reading.took_s if reading.ended.is_set() else time.monotonic() - reading.begun_s

    def _run(self, reading: _Reading[Figures]) -> None:
        try:
            reading.figures = self._read()
        except HanmillError as error:
            reading.fault = str(error)
        except Exception as error:
            # The edge of the process: whatever it is, a scrape gets everything else.
            reading.fault = fault_of(error) or f"{type(error).__name__}: {error}"
            if fault_of(error) is None:
                logger.exception("exporter.reading_failed", extra={"part": self.name})
        reading.took_s = time.monotonic() - reading.begun_s
        reading.ended.set()

    def _tell(self, fault: str | None) -> None:
        """Log that the part went away or came back, once each."""
        with self._lock:
            was_up, self._was_up = self._was_up, fault is None
        if fault is not None and was_up is not False:
            logger.warning("exporter.part_away", extra={"part": self.name, "error": fault})
        elif fault is None and was_up is False:
            logger.info("exporter.part_back", extra={"part": self.name})
