"""Renews a lease while its shard runs, from a thread of its own, and tells the run when the lease is lost."""

from __future__ import annotations

import logging
import threading
from types import TracebackType
from typing import Self

from storage import ledger
from storage.engine import Engine, transact
from storage.errors import LeaseLostError, TransientError
from storage.ledger import Lease

logger = logging.getLogger(__name__)

#: Renewals in the time that a lease lasts: two may fail before it lapses.
RENEWALS_PER_LEASE = 4


class Heartbeat:
    """A context in which one lease is kept alive; `bytes_done` is what progress shows of the shard."""

    def __init__(self, engine: Engine, held: Lease, lease_s: float) -> None:
        self.bytes_done = 0
        self._engine = engine
        self._held = held
        self._lease_s = lease_s
        self._stop = threading.Event()
        self._lost = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat-{held.shard_id}", daemon=True)

    def __enter__(self) -> Self:
        """Start to renew."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to renew."""
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raise `LeaseLostError` when the lease is known to be lost: going on would be for nothing."""
        if self._lost.is_set():
            message = f"the lease of shard {self._held.shard_id} is lost"
            raise LeaseLostError(message)

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_s / RENEWALS_PER_LEASE):
            try:
                held = transact(
                    self._engine,
                    lambda connection: ledger.renew(connection, self._held, self._lease_s, self.bytes_done),
                )
            except TransientError as error:
                # The lease may still hold when the database is back; the commit will tell.
                logger.warning("heartbeat.failed", extra={"shard": self._held.shard_id, "error": str(error)})
                continue
            if not held:
                self._lost.set()
                return
