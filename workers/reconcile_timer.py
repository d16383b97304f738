"""What in every worker asks for a pass of the reconciler, so that a deployment needs no beat for it."""

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
        parent.timer.call_after(FIRST_AFTER_S, _ask, (parent.app,))
        self._entry = parent.timer.call_repeatedly(load_settings().reconcile_interval_s, _ask, (parent.app,))

    def stop(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """Stop the timer."""
        self._entry.cancel()


class ReconcileOnConnection(bootsteps.StartStopStep):
    """Publishes the same when the worker consumes again after a loss of its connection: the broker may have come empty.

    A broker that has forgotten everything is a reason for a pass at any time, however short ago the last one was.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Ask: the consumer has been started."""
        if parent.restart_count > 1:
            _ask(parent.app)


def _ask(app: Any) -> None:
    try:
        app.send_task(
            RECONCILE,
            queue=QUEUE_CONTROL,
            expires=load_settings().reconcile_interval_s,
            ignore_result=True,
            retry=False,
        )
    except (OperationalError, OSError) as error:
        logger.warning("reconcile.not_asked", extra={"error": str(error)})
