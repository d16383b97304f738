"""The reconciler: frees what dead workers held, puts back what the queue lost, and lets the rest go on.

It tells lost from waiting. After a flush or an empty restart Redis has forgotten its epoch, and everything QUEUED is
lost. Otherwise messages are lost only if, in two passes one after the other, fewer stand in the queue than the ledger
has QUEUED. What merely waits is not published again.
"""

from __future__ import annotations

import json
import logging
from typing import Protocol

from storage import job_ledger, ledger, marks
from storage.engine import Connection, Engine, reading, transact
from storage.errors import TransientError
from storage.planning import plan_job
from storage.redis_keys import QUEUE_CPU, QUEUE_GPU
from workers.bootstrap import Parts
from workers.dispatch import Publisher, dispatch_all

logger = logging.getLogger(__name__)

_TURN = "reconciled_at"
_EPOCH = "broker_epoch"
_SUSPICION = "messages_missing_since"


class QueueState(Protocol):
    """What the reconciler wants to know of the queue."""

    def epoch(self) -> str | None:
        """Return the mark that stands as long as the queue forgets nothing."""
        ...

    def begin_epoch(self) -> str:
        """Set a new mark and return it."""
        ...

    def waiting(self, queue: str) -> int:
        """Return how many messages stand in a queue."""
        ...

    def held(self) -> int:
        """Return how many messages workers hold unacknowledged."""
        ...


def reconcile(parts: Parts, publisher: Publisher, queue: QueueState | None, *, at_once: bool = False) -> None:
    """Do one pass, unless another process did one just now (`at_once`: in any case)."""
    engine, interval_s = parts.engine, parts.settings.reconcile_interval_s
    if not at_once and not transact(engine, lambda connection: marks.take_turn(connection, _TURN, interval_s / 2)):
        return
    freed = transact(engine, ledger.free_lapsed)
    if freed:
        logger.warning("reconcile.leases_lapsed", extra={"shards": freed})
    if queue is not None:
        _put_back_lost(engine, queue)
    for job_id in transact(engine, job_ledger.jobs_to_plan):
        plan_job(engine, job_id, parts.settings.plan_sizes)
    dispatch_all(parts, publisher)


def _put_back_lost(engine: Engine, queue: QueueState) -> None:
    try:
        epoch = queue.epoch()
        missing = _messages_missing(engine, queue)
    except TransientError as error:
        logger.warning("reconcile.broker_away", extra={"error": str(error)})
        return
    with reading(engine) as connection:
        known_epoch = marks.get(connection, _EPOCH)
    if epoch is None or epoch != known_epoch:
        _begin_epoch(engine, queue)
    else:
        transact(engine, lambda connection: _judge(connection, missing=missing))


def _begin_epoch(engine: Engine, queue: QueueState) -> None:
    mark = queue.begin_epoch()

    def work(connection: Connection) -> int:
        marks.put(connection, _EPOCH, mark)
        marks.put(connection, _SUSPICION, None)
        return ledger.unqueue_older(connection, None)

    put_back = transact(engine, work)
    logger.warning("reconcile.epoch_began", extra={"shards": put_back})


def _messages_missing(engine: Engine, queue: QueueState) -> bool:
    # The queue is looked at first: a shard queued in between then only hides a loss until the next pass.
    in_queue = queue.waiting(QUEUE_CPU) + queue.waiting(QUEUE_GPU)
    held = queue.held()
    with reading(engine) as connection:
        queued, leased = job_ledger.count_in_flight(connection)
    # A message whose shard is leased stands with its worker; the others that workers hold are about to be leased.
    return in_queue + max(0, held - leased) < queued


def _judge(connection: Connection, *, missing: bool) -> None:
    suspicion = marks.get(connection, _SUSPICION)
    if not missing:
        if suspicion is not None:
            marks.put(connection, _SUSPICION, None)
        return
    if suspicion is None:
        marks.put(connection, _SUSPICION, json.dumps(job_ledger.moment(connection)))
        return
    put_back = ledger.unqueue_older(connection, json.loads(suspicion))
    marks.put(connection, _SUSPICION, None)
    logger.warning("reconcile.messages_lost", extra={"shards": put_back})
