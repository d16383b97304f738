"""Celery's scheduler, which also says that it goes round and that the broker takes what it sends."""

from __future__ import annotations

import logging
from typing import Any

from celery.beat import PersistentScheduler, SchedulingError

from workers.broker_patience import RECONNECT_EVERY_S, RESEND_S
from workers.probe import TOUCH_S, ProbeFiles
from workers.settings import load_settings

logger = logging.getLogger(__name__)

#: The name of a beat's probe files.
BEAT = "beat"


class WatchedScheduler(PersistentScheduler):
    """A beat whose probe files say how it is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin not ready: nothing was sent yet."""
        self._files = ProbeFiles(load_settings().home.absolute(), BEAT)
        self._files.set_ready(ready=False)
        self._unsent: Any = None
        super().__init__(*arguments, **options)

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Go round once, and at the latest again when the file is to be touched, or what is unsent to be sent."""
        self._files.touch_alive()
        entry, self._unsent = self._unsent, None
        if entry is not None:
            self.apply_entry(entry, producer=self.producer)
        pause_s = min(float(super().tick(*arguments, **options)), TOUCH_S)
        return pause_s if self._unsent is None else min(pause_s, RESEND_S)

    def apply_async(self, entry: Any, *arguments: Any, **options: Any) -> Any:
        """Send a message, and be ready as long as that works."""
        try:
            sent = super().apply_async(entry, *arguments, **options)
        except SchedulingError:
            # By itself Celery would leave it at that until the message is due the next time.
            self._unsent = entry
            self._files.set_ready(ready=False)
            raise
        self._files.set_ready(ready=True)
        return sent

    def _ensure_connected(self) -> Any:
        """Connect, however long it takes, and soon after the broker is back."""

        def say(error: Exception, interval_s: float) -> None:
            logger.warning("beat.broker_away", extra={"error": str(error), "again_in_s": interval_s})
            self._files.touch_alive()

        return self.connection.ensure_connection(say, **RECONNECT_EVERY_S)
