"""One `hanmill run` from the lock of its home to the end of its jobs: database, Redis, workers, and the loop over them.

Shows nothing itself: a display is told what happens.
"""

from __future__ import annotations

import logging
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec

from storage import job_ledger, ledger
from storage.broker_state import RedisState
from storage.engine import Engine, reading, transact
from storage.errors import TransientError, UsageError
from storage.inspection import other_active, states_of
from storage.migrate import upgrade
from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, QUEUE_GPU
from storage.states import COMPLETE_JOB_STATES, OPEN_JOB_STATES
from tasks.operation import get_operation
from workers.bootstrap import Parts, build_parts, make_home
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher
from workers.cli.opening import closing_engine
from workers.cli.run_log import logging_to
from workers.cli.waiting import Display, Watch
from workers.dispatch import Publisher, dispatch_job
from workers.embedded import Crew, EmbeddedRedis, HomeLock, RunFile
from workers.reconcile import reconcile
from workers.settings import Settings
from workers.submit import Order, Submitted, intake_of, submit, submit_over

logger = logging.getLogger(__name__)

#: Seconds between two looks at the jobs and the processes.
TICK_S = 0.2
#: Seconds between two passes of the reconciler.
RECONCILE_S = 1.0
#: Seconds that the workers may take to finish their shards when the user stops the run.
INTERRUPT_GRACE_S = 3.0
#: Seconds that they may take when all is done; Celery takes two to do nothing, and there is nothing left to lose.
IDLE_GRACE_S = 0.3


class NoQueue:
    """A publisher while there is no queue yet: it drops every message.

    To the ledger that is an empty Redis: the reconciler's first pass finds no epoch in it, and sends all of them.
    """

    def publish_shards(self, queue: str, shard_ids: Sequence[int], job_id: int) -> None:
        """Do nothing."""


@contextmanager
def open_session(settings: Settings) -> Iterator[Session]:
    """Have a home for this process alone inside `with`: what a killed run left behind is ended, the schema is there.

    Raises `UsageError` when the home is in use or cannot be written, `TransientError` when the database is away.
    """
    # A relative home would be another directory to a process that changes its own.
    home = settings.home.absolute()
    settings = settings.model_copy(update={"home": home, "reconcile_interval_s": RECONCILE_S})
    make_home(home)
    with HomeLock(home), logging_to(home / "logs" / "run.log", settings.secrets):
        run_file = RunFile(home)
        dead_workers = run_file.end_leftovers()
        parts = build_parts(settings)
        with closing_engine(parts):
            upgrade(parts.engine)
            free(parts.engine, dead_workers)
            yield Session(parts, run_file)


def free(engine: Engine, worker_prefixes: Sequence[str], *, stopped: bool = False) -> None:
    """Give back the shards of workers that are gone, so that they need not wait for their leases to lapse."""
    for prefix in worker_prefixes:
        freed = transact(engine, partial(ledger.free_worker, worker_prefix=prefix, stopped=stopped))
        if freed or not stopped:
            logger.warning("run.worker_gone", extra={"worker": prefix, "shards": freed})


class Session:
    """A home that is locked, with its database."""

    def __init__(self, parts: Parts, run_file: RunFile) -> None:
        self.engine = parts.engine
        self._parts = parts
        self._run_file = run_file

    def run(self, order: Order, workers: int, display: Display) -> list[int]:
        """Do an order to the end of its jobs with that many worker processes; return their ids.

        Raises `UsageError` before anything is started when the order is wrong, and `KeyboardInterrupt` after
        everything has been stopped in order.
        """
        _check_installed(order)
        first, then = in_turn(self.engine, order)
        job_ids = self._do(submit(self._parts, NoQueue(), first), workers, display)
        if then is None:
            return job_ids
        if self._are_complete(job_ids):
            return job_ids + self._do(submit_over(self._parts, NoQueue(), then), workers, display)
        display.tell("keywords are to be weighed by the counts, which are not there: run again when they are")
        return job_ids

    def _are_complete(self, job_ids: Sequence[int]) -> bool:
        with reading(self.engine) as connection:
            states = states_of(connection, job_ids)
        return all(state in COMPLETE_JOB_STATES for state in states.values())

    def _do(self, submitted: Submitted, workers: int, display: Display) -> list[int]:
        job_ids = [job.id for job in submitted.jobs]
        for sentence in _findings(self._parts, submitted):
            display.tell(sentence)
        if self._is_open(job_ids):
            self._work(job_ids, workers, display)
        return job_ids

    def _is_open(self, job_ids: Sequence[int]) -> bool:
        with reading(self.engine) as connection:
            states = states_of(connection, job_ids)
        return any(state in OPEN_JOB_STATES for state in states.values())

    def _work(self, job_ids: Sequence[int], workers: int, display: Display) -> None:
        home = self._parts.settings.home
        with EmbeddedRedis.start(home, self._run_file) as redis, closing(RedisState(redis.url)) as queue:
            settings = self._parts.settings.model_copy(update={"broker_url": redis.url})
            parts = replace(self._parts, settings=settings)
            crews = _crews(parts, workers, self._run_file)
            try:
                with ExitStack() as started:
                    for crew in crews:
                        started.enter_context(crew)
                    # While they start: what is due waits for them.
                    publisher = CeleryPublisher(started.enter_context(closing(build_app(settings))))
                    reconcile(parts, publisher, queue, at_once=True)
                    Loop(parts, publisher, queue).run(job_ids, crews, redis, display)
            finally:
                free(self.engine, [crew.prefix for crew in crews if crew.was_started], stopped=True)
        self._run_file.remove()


def in_turn(engine: Engine, order: Order) -> tuple[Order, Order | None]:
    """Return what of an order goes first, and what waits for it: keywords that are weighed by the corpus's counts."""
    if not {"count", "keywords"} <= set(order.operations):
        return order, None
    from tasks.keywords.operation import OPTIONS, waits_for_counts

    if not waits_for_counts(order.options, intake_of(engine, order.corpus)):
        return order, None
    others = [name for name in order.operations if name != "keywords"]
    # Only its own options: others are refused where the operations that they are for are not named.
    options = {name: value for name, value in order.options.items() if name in OPTIONS}
    return replace(order, operations=others), replace(order, operations=["keywords"], options=options)


def _check_installed(order: Order) -> None:
    """Raise `UsageError` for an operation that this machine, which is to do it, has not the libraries for."""
    for name in order.operations:
        if get_operation(name).uses_model and find_spec("torch") is None:
            message = f"{name} needs PyTorch and what goes with it: pip install 'hanmill[models]'"
            raise UsageError(message)


def _crews(parts: Parts, workers: int, run_file: RunFile) -> list[Crew]:
    """Return the workers that the unfinished jobs need: one for shards, and one where a model computes."""
    settings = parts.settings
    with reading(parts.engine) as connection:
        queues = {get_operation(name).queue for name in job_ledger.active_operations(connection)}
    host = socket.gethostname()
    commands = {
        QUEUE_CPU: (f"embedded@{host}", "worker.log", partial(worker_command, concurrency=workers)),
        QUEUE_GPU: (f"embedded-models@{host}", "model-worker.log", partial(model_worker_command, concurrency=1)),
    }
    return [
        Crew(
            command(nodename=nodename, log_level=settings.log_level),
            nodename=nodename,
            environment=_environment(settings),
            log_path=settings.home / "logs" / log_name,
            run_file=run_file,
        )
        for queue, (nodename, log_name, command) in commands.items()
        if queue in queues
    ]


class Loop:
    """Looks after the processes of a run until its jobs have ended."""

    def __init__(self, parts: Parts, publisher: Publisher, queue: RedisState) -> None:
        self._parts = parts
        self._publisher = publisher
        self._queue = queue
        self._reconcile_at = time.monotonic() + RECONCILE_S

    def run(self, job_ids: Sequence[int], crews: Sequence[Crew], redis: EmbeddedRedis, display: Display) -> None:
        """Return when every job has ended; on Ctrl-C stop the workers within seconds, then raise it again."""
        watch = Watch(self._parts.engine, job_ids, display)
        try:
            while watch.look():
                time.sleep(TICK_S)
                if redis.tend():
                    display.tell("Redis died and was started again; what it had forgotten is sent again")
                self._tend(crews, watch)
            _stop(crews, IDLE_GRACE_S)
        except KeyboardInterrupt:
            display.tell("stopping: the workers have a few seconds to finish what they have begun")
            _stop(crews, INTERRUPT_GRACE_S)
            raise

    def _tend(self, crews: Sequence[Crew], watch: Watch) -> None:
        died = [prefix for crew in crews for prefix in crew.tend()]
        try:
            free(self._parts.engine, died)
            if died or time.monotonic() >= self._reconcile_at:
                reconcile(self._parts, self._publisher, self._queue, at_once=True)
                self._reconcile_at = time.monotonic() + RECONCILE_S
        except TransientError as error:
            # The database may come back; the lease of a worker that died then lapses by itself.
            logger.warning("run.database_away", extra={"error": str(error)})
            watch.tell_trouble(error)


def _stop(crews: Sequence[Crew], grace_s: float) -> None:
    for crew in crews:
        crew.stop(grace_s)


def _findings(parts: Parts, submitted: Submitted) -> list[str]:
    """Return what the user should know before the work begins."""
    sentences = []
    for job in submitted.jobs:
        # A job whose shards are all known ends here, unless its sum is a new one.
        dispatch_job(parts, NoQueue(), job.id)
        plan = job.plan
        if job.resumed:
            sentences.append(f"job {job.id} ({job.operation}) goes on where it was stopped")
        if plan is not None and plan.reused and plan.reused == plan.shards:
            sentences.append(f"{job.operation}: nothing to compute: {plan.shards} shards known")
        elif plan is not None and plan.reused:
            sentences.append(f"{job.operation}: {plan.reused} of {plan.shards} shards known, the others are computed")
    with reading(parts.engine) as connection:
        others = other_active(connection, [job.id for job in submitted.jobs])
    sentences += [
        f"job {job_id} of corpus {corpus} is unfinished and goes on as well; `hanmill pause {job_id}` stops it"
        for job_id, corpus in others
    ]
    return sentences


def worker_command(nodename: str, concurrency: int, log_level: str) -> list[str]:
    """Return the command of a worker for count, tokenize and the like; Celery puts the host in place of `%h`."""
    return [
        *celery_command("worker"),
        *("--pool", "prefork", "--concurrency", str(concurrency), "--hostname", nodename),
        *("--queues", f"{QUEUE_CPU},{QUEUE_CONTROL}", "--without-gossip", "--without-mingle", "--loglevel", log_level),
    ]


def model_worker_command(nodename: str, concurrency: int, log_level: str) -> list[str]:
    """Return the command of a worker whose processes compute models, one a device.

    They are spawned, because CUDA does not survive a fork. A pool, not `--pool solo`: its main process answers and
    renews while a batch computes.
    """
    return [
        *celery_command("worker"),
        *("--pool", "prefork", "--concurrency", str(concurrency), "--hostname", nodename),
        *("--queues", f"{QUEUE_GPU},{QUEUE_CONTROL}", "--without-gossip", "--without-mingle", "--loglevel", log_level),
        *("--", "worker.pool_start_method=spawn"),
    ]


def celery_command(command: str) -> list[str]:
    """Return the start of a command line of Celery with hanmill's application."""
    # -P, and a module of our own: `python -m celery -A workers.app` would look in the current directory first, and
    # take a folder `workers` of the user's for ours.
    return [sys.executable, "-P", "-m", "workers.cli.celery_process", command]


def _environment(settings: Settings) -> dict[str, str]:
    return {
        "HANMILL_HOME": str(settings.home),
        "HANMILL_DATABASE_URL": settings.sql_url,
        "HANMILL_BROKER_URL": settings.broker_url,
        "HANMILL_RECONCILE_INTERVAL_S": str(settings.reconcile_interval_s),
        "HANMILL_DEVICE": settings.device,
    }
