"""Bootsteps by which a worker's main process says that it lives and that it consumes. Judges nothing, see `probe`."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from celery import bootsteps
from celery.worker.consumer import Consumer

from workers.broker_patience import RECONNECT_EVERY_S, REFUSED_S
from workers.probe import TOUCH_S, ProbeFiles
from workers.settings import load_settings


def files_of(nodename: str) -> ProbeFiles:
    """Return the files of a worker, by its name `NAME@HOST`."""
    return ProbeFiles(load_settings().home.absolute(), nodename.partition("@")[0])


class AliveStep(bootsteps.StartStopStep):
    """Touches the file from the timer of the main loop, and while the worker ends."""

    requires = ("celery.worker.components:Timer",)

    def start(self, parent: Any) -> None:
        """Begin to touch."""
        self._files = files_of(parent.hostname)
        self._files.set_ready(ready=False)
        self._files.touch_alive()
        self._entry = parent.timer.call_repeatedly(TOUCH_S, self._files.touch_alive)

    def close(self, parent: Any) -> None:  # noqa: ARG002 - Celery gives it
        """Go on from a thread: the loop is over, but what has begun may take hours to finish, and is to be let."""
        self._entry.cancel()
        threading.Thread(target=self._touch_to_the_end, name="alive", daemon=True).start()

    def _touch_to_the_end(self) -> None:
        # The thread ends with the process, and a dead process is not live whatever its file says.
        while True:
            self._files.touch_alive()
            time.sleep(TOUCH_S)


class ReadyStep(bootsteps.StartStopStep):
    """Ready from the moment at which the worker consumes until its connection is lost or it stops."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, parent: Any) -> None:
        """Say so: the consumer has been started."""
        files_of(parent.hostname).set_ready(ready=True)

    def stop(self, parent: Any) -> None:
        """Take it back: the connection was lost, or the worker ends."""
        files_of(parent.hostname).set_ready(ready=False)


class LiveConsumer(Consumer):
    """Celery's consumer, which also touches the file while it waits for a broker that is away, and tries often.

    The main loop stands still then, and with it every timer; but the worker is as well as it can be.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Connect, however long it takes."""
        touch_alive, ensure = files_of(self.hostname).touch_alive, conn.ensure_connection

        def ensure_connection(errback: Any, max_retries: int | None, callback: Callable[[], None]) -> Any:
            def between_tries() -> None:
                touch_alive()
                callback()

            return ensure(errback, max_retries, callback=between_tries, **RECONNECT_EVERY_S)

        conn.ensure_connection = ensure_connection
        return super().ensure_connected(conn)

    def on_connection_error_before_connected(self, exc: Exception) -> None:
        """Say so, and wait: a broker that is there and refuses, because it is full, does so within milliseconds."""
        super().on_connection_error_before_connected(exc)
        files_of(self.hostname).touch_alive()
        time.sleep(REFUSED_S)
