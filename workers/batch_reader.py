"""Reads the shards of a batch run ahead of the device, in a thread of its own: fetched, looked up, encoded.

Computes nothing on the device and writes nothing. A shard that cannot be read gives its error; the next one goes on.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from storage.documents import Document
from storage.engine import Connection, reading
from storage.ledger import Lease
from storage.shard_input import Batch, ShardInput
from tasks.nn.backend import MODEL_FAILED, OUT_OF_MEMORY, AnyBackend, UnfitTextError
from workers.bootstrap import Parts
from workers.log_context import fields_of_lease, inherited, log_fields

logger = logging.getLogger(__name__)

#: Batches of documents that wait, read and encoded, for the device.
READ_AHEAD = 8
#: What a dead letter says of a text whose preparing took all memory; the error itself says nothing.
NO_MEMORY = "MemoryError: its process may have no more memory (HANMILL_PROCESS_MEMORY_BYTES)"


@dataclass(slots=True)
class Prepared:
    """One text, encoded for the device, or why it can have no result."""

    text: str
    windows: Sequence[Any] = ()
    error: UnfitTextError | None = None


@dataclass(slots=True)
class ReadBatch:
    """Some documents of one shard, with those of their texts that have no result yet."""

    shard_id: int
    batch: Batch = field(default_factory=Batch)
    #: By the digest of the text.
    prepared: dict[bytes, Prepared] = field(default_factory=dict)
    #: The shard has been read to its end, …
    is_last: bool = False
    #: … or cannot be.
    error: Exception | None = None

    @property
    def positions(self) -> int:
        """How many positions the device is to compute for it, padding aside."""
        return sum(window.length for one in self.prepared.values() for window in one.windows)


class BatchReader:
    """A context in which shards are read; iterating gives their batches, shard by shard."""

    def __init__(
        self,
        parts: Parts,
        leases: Sequence[Lease],
        backend: AnyBackend,
        known: Callable[[Connection, Sequence[bytes]], set[bytes]],
        wanted: Callable[[int], bool],
    ) -> None:
        """`wanted` says whether a shard is still worth reading; `known` which texts have a result."""
        self._parts = parts
        self._leases = leases
        self._backend = backend
        self._known = known
        self._wanted = wanted
        self._batches: queue.Queue[ReadBatch | BaseException | None] = queue.Queue(maxsize=READ_AHEAD)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=inherited(self._read_all), name="batch-reader", daemon=True)
        #: Seconds for which the device had nothing to do.
        self.waiting_s = 0.0

    def __enter__(self) -> Self:
        """Start to read."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop to read."""
        self._stop.set()
        self._thread.join()

    def __iter__(self) -> Iterator[ReadBatch]:
        """Yield what was read; raises what ended the thread, if it was no shard's fault."""
        while True:
            started = time.perf_counter()
            item = self._batches.get()
            self.waiting_s += time.perf_counter() - started
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def _read_all(self) -> None:
        try:
            for held in self._leases:
                with log_fields(**fields_of_lease(held)):
                    for batch in self._read(held):
                        if not self._put(batch):
                            return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 - a thread's bug is the run's
            self._put(error)

    def _put(self, item: ReadBatch | BaseException | None) -> bool:
        """Hand over an item; False when nobody wants it any more."""
        while not self._stop.is_set():
            try:
                self._batches.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def _read(self, held: Lease) -> Iterator[ReadBatch]:
        settings = self._parts.settings
        try:
            source = ShardInput(
                self._parts.engine,
                held.pieces or {},
                settings.readable_roots,
                without_missing=held.deferrals >= settings.max_deferrals,
            )
            for batch in source.batches():
                if not self._wanted(held.shard_id):
                    return
                yield ReadBatch(held.shard_id, batch, self._prepare(batch.documents))
        except Exception as error:  # noqa: BLE001 - the others of the run must live; the shard's end says what it was
            yield ReadBatch(held.shard_id, error=error)
        else:
            yield ReadBatch(held.shard_id, is_last=True)

    def _prepare(self, documents: Sequence[Document]) -> dict[bytes, Prepared]:
        texts = {document.sha256: document.text for document in documents}
        with reading(self._parts.engine) as connection:
            known = self._known(connection, list(texts))
        return {digest: self._prepare_one(text) for digest, text in texts.items() if digest not in known}

    def _prepare_one(self, text: str) -> Prepared:
        try:
            return Prepared(text, self._backend.windows(text))
        except UnfitTextError as error:
            return Prepared(text, error=error)
        except MemoryError:
            logger.warning("batch.text_failed", extra={"error": NO_MEMORY})
            return Prepared(text, error=UnfitTextError(OUT_OF_MEMORY, NO_MEMORY))
        except Exception as error:  # noqa: BLE001 - one text's trouble is its own
            logger.warning("batch.text_failed", extra={"error": f"{type(error).__name__}: {error}"})
            return Prepared(text, error=UnfitTextError(MODEL_FAILED, f"{type(error).__name__}: {error}"))
