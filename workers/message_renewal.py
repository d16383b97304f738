"""A bootstep by which a worker keeps the messages that it works on: Redis must not deliver them a second time.

Redis takes a message that nobody acknowledged for lost when its visibility timeout is over, however long its work may
rightly take. A worker that lives therefore says again and again that it has fetched it just now, as it renews the lease
of the shard. What a dead worker held is delivered again soon; what a living one holds, never.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from celery import bootsteps
from celery.worker import state

from storage.broker_state import RedisState
from storage.errors import TransientError
from workers.heartbeat import RENEWALS_PER_LEASE
from workers.settings import Settings, load_settings

logger = logging.getLogger(__name__)


def renewal_interval_s(settings: Settings) -> float:
    """Return the pause between two renewals: the reconciler takes what is older than a lease for a dead worker's."""
    return min(settings.visibility_timeout_s, settings.lease_s) / RENEWALS_PER_LEASE


class RenewalStep(bootsteps.StartStopStep):
    """Renews from the timer of the main loop, and while the worker ends. On Redis only."""

    requires = ("celery.worker.components:Timer",)

    def include_if(self, parent: Any) -> bool:  # noqa: ARG002 - Celery gives it
        """Say whether there is a Redis; what RabbitMQ delivers again, after its consumer timeout, cannot be renewed."""
        return load_settings().broker_url.startswith("redis")

    def start(self, parent: Any) -> None:
        """Begin to renew."""
        settings = load_settings()
        self._interval_s = renewal_interval_s(settings)
        self._queue = RedisState(settings.broker_url)
        self._entry = parent.timer.call_repeatedly(self._interval_s, self._renew)

    def close(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """Go on from a thread: the loop is over, but what has begun may take hours to finish, and is to be let."""
        self._entry.cancel()
        threading.Thread(target=self._renew_to_the_end, name="renewal", daemon=True).start()

    def _renew_to_the_end(self) -> None:
        # The thread ends with the process.
        while True:
            self._renew()
            time.sleep(self._interval_s)

    def _renew(self) -> None:
        tags = _held_tags()
        if not tags:
            return
        try:
            self._queue.renew(tags)
        except TransientError as error:
            # Redis is away, and can deliver nothing either; when it is back, a second delivery is forgotten.
            logger.warning("messages.not_renewed", extra={"messages": len(tags), "error": str(error)})


def _held_tags() -> list[str]:
    """Return the tags of all messages that this worker was given and has not acknowledged.

    Those that wait for their time, because they are tried again later, are among them.
    """
    while True:
        try:
            held = [*state.reserved_requests, *state.scheduled_requests]  # type: ignore[attr-defined] # types are older
        except RuntimeError:
            # While the worker ends another thread takes away what is finished.
            continue
        return [request.message.delivery_tag for request in held if not request.acknowledged]
