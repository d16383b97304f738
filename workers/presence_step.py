"""A bootstep by which a worker says, as long as it consumes, that it is up; the exporter counts who said so."""

from __future__ import annotations

import logging
from typing import Any

from celery import bootsteps

from storage.errors import TransientError
from storage.presence import KEPT_S, Presence
from workers.settings import load_settings

logger = logging.getLogger(__name__)

#: How often a worker says so before it would be forgotten.
WORDS_KEPT = 4


class PresenceStep(bootsteps.StartStopStep):
    """Speaks from the timer of the main loop, from the moment at which the worker consumes. On Redis only."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def include_if(self, parent: Any) -> bool:  # noqa: ARG002 - Celery gives it
        """Say whether there is a Redis to speak to; RabbitMQ counts its consumers itself."""
        return load_settings().broker_url.startswith("redis")

    def start(self, parent: Any) -> None:
        """Begin to speak."""
        self._presence = Presence(load_settings().broker_url)
        self._announce(parent)
        self._entry = parent.timer.call_repeatedly(KEPT_S / WORDS_KEPT, self._announce, (parent,))

    def stop(self, parent: Any) -> None:
        """Take it back: the connection was lost, or the worker ends."""
        self._entry.cancel()
        self._presence.withdraw(parent.hostname)
        self._presence.close()

    def _announce(self, parent: Any) -> None:
        queues = [queue.name for queue in parent.task_consumer.queues]
        try:
            self._presence.announce(parent.hostname, queues)
        except TransientError as error:
            logger.warning("worker.not_announced", extra={"error": str(error)})
