"""A bootstep by which a worker that ends gives back what its processes still hold; and what a second SIGTERM does.

The first SIGTERM is Celery's: what is leased is finished, nothing new is taken. The second ends the processes in the
middle of their shards; the leases are given back at once then, and no loss is counted, for the shards are not to blame.
"""

from __future__ import annotations

import logging
import os
import signal
from functools import partial
from typing import Any

from celery import bootsteps
from celery.apps.worker import install_worker_term_hard_handler  # type: ignore[attr-defined] # its types lack it
from celery.signals import worker_shutting_down

from storage import ledger
from storage.engine import transact
from storage.errors import TransientError
from workers.bootstrap import parts
from workers.task_names import worker_prefix

logger = logging.getLogger(__name__)


class LeaseReturn(bootsteps.StartStopStep):
    """Gives leases back when the worker's processes have ended."""

    def __init__(self, parent: Any, **options: Any) -> None:
        """Have the second SIGTERM end what the first one lets finish."""
        super().__init__(parent, **options)

        told = 0

        def harden(how: str = "", **_: Any) -> None:
            nonlocal told
            if how != "Warm":
                return
            install_worker_term_hard_handler(parent.controller, sig="SIGTERM")
            told += 1
            if told > 1:
                # The second came while the first was being handled, and found the handler of the first.
                signal.raise_signal(signal.SIGTERM)

        worker_shutting_down.connect(harden, weak=False)

    def start(self, parent: Any) -> None:
        """Do nothing; the step is there for the worker's end."""

    def shutdown(self, parent: Any) -> None:
        """Give back what is still held; after a warm end that is nothing."""
        prefix = worker_prefix(parent.hostname, os.getpid())
        try:
            freed = transact(parts().engine, partial(ledger.free_worker, worker_prefix=prefix, stopped=True))
        except TransientError as error:
            # They lapse by themselves.
            logger.warning("worker.leases_not_returned", extra={"error": str(error)})
            return
        if freed:
            logger.warning("worker.leases_returned", extra={"shards": freed})
