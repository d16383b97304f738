"""A worker's consumer, which gives tasks only messages that they take; what is none is set aside, and it goes on.

By itself Celery writes the whole body of such a message into the log, gives wrong arguments to the task all the same,
and ends the worker over some headers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from storage.refused_messages import refused_now
from workers.guarded_connection import set_aside
from workers.message_check import message_fault
from workers.probe_steps import LiveConsumer
from workers.settings import load_settings

logger = logging.getLogger(__name__)


class CarefulConsumer(LiveConsumer):
    """Looks at each message before Celery believes it."""

    # What Celery's own consumer has, and its types do not say.
    connection_errors: tuple[type[Exception], ...]
    channel_errors: tuple[type[Exception], ...]
    controller: Any

    def create_task_handler(self, *arguments: Any, **options: Any) -> Callable[[Any], None]:
        """Return what takes a message."""
        return partial(self._take, super().create_task_handler(*arguments, **options))

    def _take(self, handle: Callable[[Any], None], message: Any) -> None:
        fault = message_fault(message, self.app.tasks, load_settings().max_message_bytes)
        if fault is not None:
            self._refuse(message, fault)
            return
        try:
            handle(message)
        except (*self.connection_errors, *self.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001 - the edge of the process: any header may be a stranger's
            self._refuse(message, f"Celery does not take it: {type(error).__name__}")
            # The place in the pool that was kept for it is free again; one too many does no harm.
            self.controller.semaphore.release()

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """Refuse what cannot even be opened."""
        self._refuse(message, f"it cannot be opened: {type(exc).__name__}")

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:  # noqa: ARG002 - Celery's signature
        """Refuse what Celery finds at fault later than we do."""
        self._refuse(message, f"Celery does not take it: {type(exc).__name__}")

    def _refuse(self, message: Any, fault: str) -> None:
        place = message.delivery_info or {}
        set_aside(load_settings().broker_url, refused_now(str(place.get("routing_key")), fault, message.body or b""))
        if not message.acknowledged:
            message.reject_log_error(logger, self.connection_errors)
