"""Celery's events, sent once each: a broker that is cut off must not keep a worker's main loop waiting.

By itself Celery sends the sign of life of a worker again and again until the broker takes it, from the main loop, which
does nothing else in the meantime: it does not even notice that its own connection is dead. What could not be sent is
kept and sent after the next connection.
"""

from __future__ import annotations

from typing import Any

from celery.app.events import Events
from celery.events.dispatcher import EventDispatcher


class PatientDispatcher(EventDispatcher):
    """Sends events without trying again at once."""

    def send(self, type: str, *arguments: Any, **options: Any) -> Any:  # noqa: A002 - Celery's name for it
        """Send an event, or keep it."""
        return super().send(type, *arguments, **{**options, "retry": False})


class PatientEvents(Events):
    """The events of hanmill's application."""

    dispatcher_cls = "workers.patient_events:PatientDispatcher"
