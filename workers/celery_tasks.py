"""The Celery tasks: each reads its message, calls the core and is done. And the signals that prepare a worker.

Our own messages may come from a later version of the program: what they say beyond what is known here is left alone.
"""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from celery import Task, shared_task
from celery.signals import (
    beat_init,
    celeryd_after_setup,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
)
from kombu.exceptions import BatchPublishError, OperationalError  # type: ignore[attr-defined] # its types are older

from storage import fault_points, ledger
from storage.broker_state import RedisState
from storage.engine import Connection, transact
from storage.errors import TransientError
from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, SHARD_HEADER
from tasks.operation import get_operation
from workers.amqp_state import AmqpState
from workers.attempt_end import AttemptFailedError, show
from workers.bootstrap import parts
from workers.dispatch import dispatch_job
from workers.log_context import begin_message, end_message, name_worker
from workers.logs import configure_logging
from workers.reconcile import QueueState, reconcile
from workers.run_shard import run_shard
from workers.schedule_start import start_run
from workers.settings import load_settings
from workers.task_names import FREE_SHARD, INGEST, RECONCILE, RUN_SHARD, START_RUN, worker_prefix

logger = logging.getLogger(__name__)

#: Messages of one round trip to the broker.
PUBLISHED_AT_ONCE = 1000
#: Seconds after which a message that a run is to be started is forgotten; another was sent by then.
START_EXPIRES_S = 60.0
#: Seconds that listing the inputs of a run, and planning it, may take.
START_LIMIT_S = 24 * 3600


class CeleryPublisher:
    """Publishes messages by Celery, many over one connection."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Publish a message for every shard; raises `TransientError` when the broker is away."""
        try:
            # In batches, which cost Redis one round trip each; other brokers take the messages one by one as before.
            with self._app.producer_pool.acquire(block=True) as producer, producer.batch(PUBLISHED_AT_ONCE):
                for number, shard_id in enumerate(shard_ids):
                    kwargs = {"shard": shard_id, "job": job_id}
                    self._app.send_task(
                        RUN_SHARD,
                        kwargs=kwargs,
                        # What Celery would find by itself, at a sixth of a message's cost.
                        argsrepr="()",
                        kwargsrepr=repr(kwargs),
                        # The queue is declared once, not for every message.
                        declare=() if number else None,
                        # The reconciler looks for it there, without opening the message.
                        headers={SHARD_HEADER: shard_id},
                        queue=queue,
                        producer=producer,
                        retry=False,
                        ignore_result=True,
                    )
        except (BatchPublishError, OperationalError, OSError) as error:
            # Some of them may be in the queue all the same; a message for a shard that runs already is forgotten.
            message = f"the broker did not take a message: {error.__cause__ or error}"
            raise TransientError(message) from error

    def publish_start(self, run_id: int) -> None:
        """Publish that a run of a schedule is to be started; raises `TransientError` when the broker is away."""
        try:
            self._app.send_task(
                START_RUN,
                kwargs={"run": run_id},
                queue=QUEUE_CONTROL,
                # The next pass sends it again; who comes second finds it started.
                expires=START_EXPIRES_S,
                retry=False,
                ignore_result=True,
            )
        except (OperationalError, OSError) as error:
            message = f"the broker did not take a message: {error}"
            raise TransientError(message) from error


def queue_state(app: Any) -> QueueState:
    """Return the look into an application's queue."""
    broker_url = str(app.conf.broker_url)
    return RedisState(broker_url) if broker_url.startswith("redis") else AmqpState(app)


class ShardTask(Task[Any, Any]):
    """A task whose process may end in the middle of a shard."""

    # By name: only a worker needs it, and it takes a quarter of a second to import.
    Request = "workers.shard_request:ShardRequest"


# What failed is written down in the ledger already: that is no fault of the task's that a log should show a trace of.
@shared_task(name=RUN_SHARD, bind=True, base=ShardTask, throws=(AttemptFailedError,))
def run_shard_task(self: Task[Any, Any], /, shard: int, job: int, **_: Any) -> str:  # noqa: ARG001 - `free_shard` needs it
    """Run one shard, then let the next one go; return, or raise, what Flower is to show."""
    built = parts()
    try:
        ends = run_shard(built, shard, worker_name(self.request.hostname))
    except MemoryError:
        # There was none even to write the end down. Celery's main process ends by a `MemoryError` of a task's.
        message = "there was no memory left to say how the attempt ended; its lease lapses by itself"
        raise AttemptFailedError(message) from None
    for job_id in sorted({end.held.job_id for end in ends}):
        dispatch_job(built, CeleryPublisher(self.app), job_id)
    fault_points.reach("shard.unacknowledged")
    return show(ends)


def worker_name(nodename: str | None) -> str:
    """Return who holds a lease: `node/pid of the worker/pid of its process`."""
    return f"{worker_prefix(nodename, os.getppid())}{os.getpid()}"


# Without events: every worker asks for it all the time, and in Flower nothing else would be seen.
@shared_task(name=RECONCILE, bind=True, send_events=False)
def reconcile_task(self: Task[Any, Any], /, **_: Any) -> None:
    """Free, put back, plan and dispatch whatever is due."""
    built = parts()
    reconcile(built, CeleryPublisher(self.app), _queue_state(self.app))


# Longer than any shard may take: listing a large bucket does take long, and whoever is killed by it dies at every try.
@shared_task(name=START_RUN, bind=True, soft_time_limit=START_LIMIT_S, time_limit=START_LIMIT_S + 60)
def start_run_task(self: Task[Any, Any], /, run: int, **_: Any) -> None:
    """Start a run of a schedule, unless somebody else does."""
    start_run(parts(), CeleryPublisher(self.app), run)


#: The look into the queue, opened once a process.
_queue_state = lru_cache(maxsize=1)(queue_state)


@shared_task(name=FREE_SHARD, bind=True)
def free_shard_task(
    self: Task[Any, Any], /, shard: int, job: int, worker: str, reason: str = ledger.FELL_SILENT, **_: Any
) -> None:
    """Free the lease of a process that died, so that its shard need not wait for the lease to lapse.

    Where it died before it had a lease, the shard is put back all the same: its message died with it.
    """
    built = parts()

    def work(connection: Connection) -> None:
        ledger.free_shard(connection, shard, worker, reason)
        ledger.unqueue(connection, [shard])

    transact(built.engine, work)
    dispatch_job(built, CeleryPublisher(self.app), job)


# Tried again as long as the database is away: the documents stand nowhere else yet.
@shared_task(
    name=INGEST,
    bind=True,
    # No row in the ledger stands for a message that was not taken yet: it must come again when its process dies.
    reject_on_worker_lost=True,
    autoretry_for=(TransientError,),
    retry_backoff=True,
    retry_backoff_max=60,
    max_retries=None,
)
def ingest_task(
    self: Task[Any, Any],
    corpus: str,
    documents: Sequence[Any],
    operations: Sequence[str] = ("count",),
    options: dict[str, Any] | None = None,
) -> None:
    """Take documents from a client that has neither our package nor our database."""
    from workers.producer import ingest  # noqa: PLC0415 - the producer builds on this module

    ingest(parts(), CeleryPublisher(self.app), corpus, documents, operations, options or {})


@setup_logging.connect
def _configure_logging(loglevel: int | str | None = None, **_: Any) -> None:
    """Replace Celery's own form of log lines by ours."""
    settings = load_settings()
    if settings.worker_name:
        name_worker(settings.worker_name)
    configure_logging(settings.log_format, loglevel if loglevel is not None else settings.log_level, settings.secrets)


@celeryd_init.connect
def _name_worker(sender: str = "", instance: Any = None, **_: Any) -> None:
    """Have all log lines of a worker name it, and those of the processes that it starts afresh."""
    name_worker(sender)
    os.environ["HANMILL_WORKER_NAME"] = sender  # noqa: TID251 - set, not read
    # The banner is for people; a reader of JSON could not parse it.
    instance.quiet = instance.quiet or load_settings().log_format == "json"
    # Celery sets logging up later, and warns before.
    _configure_logging()


@beat_init.connect
def _name_beat(**_: Any) -> None:
    """Have the log lines of a beat name it."""
    name_worker(load_settings().worker_name or "beat")


@celeryd_after_setup.connect
def _quiet_spawned(**_: Any) -> None:
    """Have processes that are spawned write nothing before they have our form of log lines."""
    os.environ["_MP_FORK_LOGLEVEL_"] = ""  # noqa: TID251 - set, not read


@task_prerun.connect
def _begin_context(kwargs: dict[str, Any] | None = None, sender: Any = None, **_: Any) -> None:
    """Have Celery's own lines about a message say what it is about."""
    begin_message(sender.name, kwargs or {})


@task_postrun.connect
def _end_context(**_: Any) -> None:
    end_message()


@worker_init.connect
def _prepare_parent(sender: Any = None, **_: Any) -> None:
    """Load what counting needs before the fork: the processes then share it."""
    if sender is not None and QUEUE_CPU not in sender.app.amqp.queues.consume_from:
        return
    settings = load_settings()
    # A command that only sends needs none of them.
    import pyarrow as pa  # noqa: PLC0415

    from tasks.segmentation import load_default_segmenter  # noqa: PLC0415

    settings.cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    load_default_segmenter(settings.cache_dir)
    get_operation("count")
    # One heap: what one shard's counting has freed serves the next merge too (40 MB less at its peak).
    pa.set_memory_pool(pa.system_memory_pool())
    # What is loaded stays; no collection needs to look at it, or to copy its pages, in any process.
    gc.collect()
    gc.freeze()


@worker_process_init.connect
def _prepare_child(**_: Any) -> None:
    """Open the database after the fork: a connection must never be shared by two processes."""
    parts.cache_clear()
    parts()
