"""Renews leases while their shards run, from a thread of its own, and tells the run when one is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from storage import ledger
from storage.engine import Engine, transact
from storage.errors import LeaseLostError, TransientError
from storage.ledger import Lease
from workers.log_context import inherited

logger = logging.getLogger(__name__)

#: Renewals in the time that a lease lasts: two may fail before it lapses.
RENEWALS_PER_LEASE = 4


class Heartbeat:
    """A context in which leases are kept alive; `bytes_done` is what progress shows of each shard."""

    def __init__(self, engine: Engine, leases: Sequence[Lease], lease_s: float) -> None:
        self.bytes_done = {held.shard_id: 0 for held in leases}
        self._engine = engine
        self._leases = {held.shard_id: held for held in leases}
        self._lease_s = lease_s
        self._lost: set[int] = set()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=inherited(self._beat), name="heartbeat", daemon=True)

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

    def ended(self, shard_id: int) -> None:
        """Renew a shard's lease no more: it has come to its end."""
        with self._lock:
            self._leases.pop(shard_id, None)

    def is_lost(self, shard_id: int) -> bool:
        """Say whether the lease of a shard is known to be lost."""
        return shard_id in self._lost

    def check(self, shard_id: int) -> None:
        """Raise `LeaseLostError` when the lease is known to be lost: going on would be for nothing."""
        if self.is_lost(shard_id):
            message = f"the lease of shard {shard_id} is lost"
            raise LeaseLostError(message)

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_s / RENEWALS_PER_LEASE):
            with self._lock:
                leases = list(self._leases.values())
            try:
                kept = transact(
                    self._engine,
                    lambda connection: ledger.renew_all(connection, leases, self._lease_s, self.bytes_done),  # noqa: B023 - called at once
                )
            except (TransientError, MemoryError) as error:
                # The leases may still hold when the database is back, or the memory; the commit will tell.
                logger.warning("heartbeat.failed", extra={"shards": len(leases), "error": str(error)})
                continue
            with self._lock:
                # What came to its end in the meantime is not held either, and not lost.
                gone = [held.shard_id for held in leases if held.shard_id not in kept and held.shard_id in self._leases]
                for shard_id in gone:
                    del self._leases[shard_id]
            self._lost.update(gone)
