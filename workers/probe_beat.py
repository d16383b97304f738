"""Celery's scheduler, which also says that it goes round and that the broker takes what it sends."""

from __future__ import annotations

from typing import Any

from celery.beat import PersistentScheduler, SchedulingError

from workers.probe import TOUCH_S, ProbeFiles
from workers.settings import load_settings

#: The name of a beat's probe files.
BEAT = "beat"


class WatchedScheduler(PersistentScheduler):
    """A beat whose probe files say how it is."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Begin not ready: nothing was sent yet."""
        self._files = ProbeFiles(load_settings().home.absolute(), BEAT)
        self._files.set_ready(ready=False)
        super().__init__(*arguments, **options)

    def tick(self, *arguments: Any, **options: Any) -> float:
        """Go round once, and at the latest again when the file is to be touched."""
        self._files.touch_alive()
        return min(float(super().tick(*arguments, **options)), TOUCH_S)

    def apply_async(self, *arguments: Any, **options: Any) -> Any:
        """Send a message, and be ready as long as that works."""
        try:
            sent = super().apply_async(*arguments, **options)
        except SchedulingError:
            self._files.set_ready(ready=False)
            raise
        self._files.set_ready(ready=True)
        return sent
