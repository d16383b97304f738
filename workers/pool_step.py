"""A bootstep that looks for dead processes of the pool once a second, so that what they held runs again at once.

Celery is woken when a process ends, but a moment before the kernel can say how it ended: often it then sees nothing,
and looks again only after five seconds. Frees nothing itself, see `shard_request`.
"""

from __future__ import annotations

from typing import Any

from celery import bootsteps

#: Seconds between two looks; a look costs one system call a process.
LOOK_S = 1.0


class PoolStep(bootsteps.StartStopStep):
    """Has the pool collect its dead and start others in their place, from the timer of the main loop."""

    requires = ("celery.worker.components:Pool",)

    def start(self, parent: Any) -> None:
        """Begin to look."""
        self._entry = parent.timer.call_repeatedly(LOOK_S, parent.pool.maintain_pool)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """Look no more."""
        self._entry.cancel()
