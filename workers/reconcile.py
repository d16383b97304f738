"""The reconciler: frees what dead workers held, puts back what the queue lost, fires what is due, lets the rest go on.

It tells lost from waiting. After a flush or an empty restart Redis has forgotten its epoch, and everything QUEUED is
lost. Otherwise a message is lost when its shard is QUEUED and, in two passes one after the other, the queue does not
have it. What merely waits is not published again.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

from storage import fault_points, job_ledger, ledger, marks
from storage.engine import Connection, Engine, reading, transact
from storage.errors import TransientError
from storage.frozen_sessions import end_frozen
from storage.planning import plan_job
from storage.redis_keys import QUEUE_CPU, QUEUE_GPU
from workers.bootstrap import Parts
from workers.dispatch import Publisher, dispatch_all
from workers.schedule_fire import tend_schedules

logger = logging.getLogger(__name__)

_TURN = "reconciled_at"
_EPOCH = "broker_epoch"
_SUSPICION = "messages_missing_since"
_SHARD_QUEUES = (QUEUE_CPU, QUEUE_GPU)
#: The part of a lease that is given up at most, so that nobody waits for another pass; heartbeats leave three quarters.
LAPSES_AHEAD = 5


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

    def shards_in(self, queues: Sequence[str], fresh_s: float) -> set[int]:
        """Return the shards whose messages stand in some queues, or were fetched in the last `fresh_s` seconds."""
        ...


def reconcile(parts: Parts, publisher: Publisher, queue: QueueState, *, at_once: bool = False) -> None:
    """Do one pass, unless another process did one just now (`at_once`: in any case)."""
    engine, interval_s = parts.engine, parts.settings.reconcile_interval_s
    # Before the turn, which is a row as well that such a process may hold.
    ended = end_frozen(engine)
    if ended:
        logger.warning("reconcile.frozen_ended", extra={"sessions": ended})
    # Written at once too: a full disk is noticed only by who writes.
    since_s = 0.0 if at_once else interval_s / 2
    is_turn = transact(engine, lambda connection: marks.take_turn(connection, _TURN, since_s)) or at_once
    # A broker that has come up empty is not to wait for the next turn: nothing is being worked on until then.
    if not is_turn and not _is_forgotten(engine, queue):
        return
    # What would lapse before the next passes lapses now, so that a dead worker's shard waits no longer than its lease.
    # A living worker has renewed it long before.
    ahead_s = min(2 * interval_s, parts.settings.lease_s / LAPSES_AHEAD)
    freed = transact(engine, lambda connection: ledger.free_lapsed(connection, ahead_s))
    if freed:
        fault_points.reach("reconcile.freed")
        logger.warning("reconcile.leases_lapsed", extra={"shards": freed})
    _put_back_lost(parts, queue)
    tend_schedules(engine, publisher)
    for job_id in transact(engine, job_ledger.jobs_to_plan):
        try:
            plan_job(engine, job_id, parts.settings.plan_sizes)
        except TransientError as error:
            # Its planner is silent from now on, so that it is tried again; the other jobs must not wait for it.
            logger.warning("reconcile.not_planned", extra={"job": job_id, "error": str(error)})
    dispatch_all(parts, publisher)


def _put_back_lost(parts: Parts, queue: QueueState) -> None:
    engine = parts.engine
    try:
        if _is_new_epoch(engine, queue):
            _begin_epoch(engine, queue)
        else:
            _look_for_lost(engine, queue, parts.settings.lease_s)
    except TransientError as error:
        logger.warning("reconcile.broker_away", extra={"error": str(error)})


def _is_forgotten(engine: Engine, queue: QueueState) -> bool:
    """Say whether the queue has forgotten everything; while it is away it has not."""
    try:
        return _is_new_epoch(engine, queue)
    except TransientError:
        return False


def _is_new_epoch(engine: Engine, queue: QueueState) -> bool:
    epoch = queue.epoch()
    with reading(engine) as connection:
        known_epoch = marks.get(connection, _EPOCH)
    return epoch is None or epoch != known_epoch


def _begin_epoch(engine: Engine, queue: QueueState) -> None:
    mark = queue.begin_epoch()
    fault_points.reach("reconcile.epoch")

    def work(connection: Connection) -> int:
        marks.put(connection, _EPOCH, mark)
        marks.put(connection, _SUSPICION, None)
        return ledger.unqueue_all(connection)

    put_back = transact(engine, work)
    logger.warning("reconcile.epoch_began", extra={"shards": put_back})


def _look_for_lost(engine: Engine, queue: QueueState, fresh_s: float) -> None:
    # The ledger is looked at first: what is queued in between can then not be taken for lost.
    with reading(engine) as connection:
        queued = job_ledger.queued_shards(connection)
    if len(queued) <= sum(queue.waiting(name) for name in _SHARD_QUEUES):
        # The usual case, and cheap: nothing can be missing.
        transact(engine, lambda connection: marks.put(connection, _SUSPICION, None))
        return
    in_queue = queue.shards_in(_SHARD_QUEUES, fresh_s)
    transact(engine, lambda connection: _judge(connection, queued, in_queue))


def _judge(connection: Connection, queued: AbstractSet[int], in_queue: AbstractSet[int]) -> None:
    suspicion = marks.get(connection, _SUSPICION)
    if queued <= in_queue:
        marks.put(connection, _SUSPICION, None)
    elif suspicion is None:
        # A message that is on its way just now will be there, or its shard leased, at the next pass.
        marks.put(connection, _SUSPICION, json.dumps(job_ledger.moment(connection)))
    else:
        put_back = ledger.unqueue_lost(connection, json.loads(suspicion), in_queue)
        marks.put(connection, _SUSPICION, None)
        logger.warning("reconcile.messages_lost", extra={"shards": put_back})
