"""A timer in every worker that asks for a pass of the reconciler, so that a deployment needs no beat for it."""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps
from kombu.exceptions import OperationalError

from storage.redis_keys import QUEUE_CONTROL
from workers.settings import load_settings
from workers.task_names import RECONCILE

logger = logging.getLogger(__name__)

#: Seconds after a worker's start until it asks for the first time.
FIRST_AFTER_S = 0.1


class ReconcileTimer(bootsteps.StartStopStep):
    """Publishes `hanmill.reconcile` at a worker's start and then from time to time; the ledger lets one through."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        """Start the timer."""
        interval_s = load_settings().reconcile_interval_s

        def ask() -> None:
            try:
                parent.app.send_task(
                    RECONCILE, queue=QUEUE_CONTROL, expires=interval_s, ignore_result=True, retry=False
                )
            except (OperationalError, OSError) as error:
                logger.warning("reconcile.not_asked", extra={"error": str(error)})

        parent.timer.call_after(FIRST_AFTER_S, ask)
        self._entry = parent.timer.call_repeatedly(interval_s, ask)

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """Stop the timer."""
        self._entry.cancel()
