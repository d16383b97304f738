"""The Celery tasks: each reads its message, calls the core and is done. And the signals that prepare a worker."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import Task, current_app, shared_task
from celery.signals import setup_logging, task_failure, worker_init, worker_process_init
from kombu.exceptions import OperationalError

from storage import ledger
from storage.broker_state import RedisState
from storage.engine import transact
from storage.errors import TransientError
from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, SHARD_HEADER
from workers.amqp_state import AmqpState
from workers.bootstrap import parts
from workers.dispatch import dispatch_job
from workers.logs import configure_logging
from workers.reconcile import QueueState, reconcile
from workers.run_shard import run_shard
from workers.settings import load_settings
from workers.task_names import FREE_SHARD, INGEST, RECONCILE, RUN_SHARD

logger = logging.getLogger(__name__)


class CeleryPublisher:
    """Publishes messages by Celery, many over one connection."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Publish a message for every shard; raises `TransientError` when the broker is away."""
        try:
            with self._app.producer_pool.acquire(block=True) as producer:
                for shard_id in shard_ids:
                    self._app.send_task(
                        RUN_SHARD,
                        kwargs={"shard": shard_id, "job": job_id},
                        # The reconciler looks for it there, without opening the message.
                        headers={SHARD_HEADER: shard_id},
                        queue=queue,
                        producer=producer,
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


@shared_task(name=RUN_SHARD, bind=True)
def run_shard_task(self: Task[Any, Any], shard: int, job: int) -> None:  # noqa: ARG001 - `free_shard` needs it
    """Run one shard, then let the next one go."""
    built = parts()
    for job_id in sorted(run_shard(built, shard, worker_name(self.request.hostname))):
        dispatch_job(built, CeleryPublisher(self.app), job_id)


def worker_name(nodename: str | None) -> str:
    """Return who holds a lease: `node/pid of the worker/pid of its process`."""
    return f"{worker_prefix(nodename, os.getppid())}{os.getpid()}"


def worker_prefix(nodename: str | None, main_pid: int) -> str:
    """Return what all processes of one worker have in common in their names."""
    return f"{nodename or 'unnamed'}/{main_pid}/"


@shared_task(name=RECONCILE, bind=True)
def reconcile_task(self: Task[Any, Any]) -> None:
    """Free, put back, plan and dispatch whatever is due."""
    built = parts()
    reconcile(built, CeleryPublisher(self.app), _queue_state(self.app))


#: The look into the queue, opened once a process.
_queue_state = lru_cache(maxsize=1)(queue_state)


@shared_task(name=FREE_SHARD, bind=True)
def free_shard_task(self: Task[Any, Any], shard: int, job: int, worker: str) -> None:
    """Free the lease of a process that died, so that its shard need not wait for the lease to lapse."""
    built = parts()
    if transact(built.engine, lambda connection: ledger.free_shard(connection, shard, worker)):
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
    configure_logging(settings.log_format, loglevel if loglevel is not None else settings.log_level)


@worker_init.connect
def _prepare_parent(sender: Any = None, **_: Any) -> None:
    """Load the default dictionary before the fork: the processes then share its 100 MB."""
    if sender is not None and QUEUE_CPU not in sender.app.amqp.queues.consume_from:
        return
    settings = load_settings()
    from tasks.segmentation import load_default_segmenter  # noqa: PLC0415 - a command that only sends needs no jieba

    settings.cache_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    load_default_segmenter(settings.cache_dir)


@worker_process_init.connect
def _prepare_child(**_: Any) -> None:
    """Open the database after the fork: a connection must never be shared by two processes."""
    parts.cache_clear()
    parts()


@task_failure.connect
def _free_lost(exception: BaseException | None = None, kwargs: Any = None, sender: Any = None, **_: Any) -> None:
    """When a process of this worker died, let its shard go at once."""
    if not isinstance(exception, WorkerLostError) or getattr(sender, "name", "") != RUN_SHARD:
        return
    worker = worker_prefix(sender.request.hostname, os.getpid())
    current_app.send_task(
        FREE_SHARD, kwargs={**(kwargs or {}), "worker": worker}, queue=QUEUE_CONTROL, ignore_result=True
    )
