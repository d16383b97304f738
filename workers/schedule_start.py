"""Starts one run of a schedule: lists its inputs if it has any, makes its jobs and plans them. Fires nothing.

Whoever starts a run holds a lease on it, renewed while the listing goes on; the jobs are made in the transaction in
which the lease is looked at. Who comes after a starter that died finds its jobs and goes on with them.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from storage import fault_points, schedule_runs
from storage.corpora import corpus_id_of, make_corpus, refresh_sources
from storage.engine import AnyRow, Connection, Engine, reading, transact
from storage.errors import LeaseLostError, TransientError, UsageError
from storage.planning import plan_job
from storage.schedule_runs import STARTER_SILENCE_S, StartLease
from storage.sources import ListingOptions, list_sources
from storage.states import OPEN_JOB_STATES, RunState
from workers.bootstrap import Parts
from workers.dispatch import Publisher, dispatch_job
from workers.settings import Settings
from workers.skipping import require_groups
from workers.submit import CheckedOperation, check_operations, find_or_make

logger = logging.getLogger(__name__)

#: A starter gives so many signs of life in the time after which it would be taken for dead.
SIGNS = 4


def start_run(parts: Parts, publisher: Publisher, run_id: int) -> list[int]:
    """Start a run unless somebody else does; return the ids of its jobs.

    What is wrong with it ends the run with the reason; a world that is not ready has it tried again later.
    """
    held = transact(parts.engine, partial(schedule_runs.claim, run_id=run_id))
    if held is None:
        return []
    try:
        with _signs_of_life(parts.engine, held):
            fault_points.reach("schedule.claimed")
            return _start(parts, publisher, held)
    except LeaseLostError:
        logger.warning("schedule.start_lost", extra={"run": run_id})
    except TransientError as error:
        logger.warning("schedule.start_deferred", extra={"run": run_id, "error": str(error)})
        transact(parts.engine, partial(schedule_runs.release, held=held, reason=str(error)))
    except Exception as error:
        _give_up(parts.engine, held, error)
        if not isinstance(error, UsageError):
            raise
    return []


def _give_up(engine: Engine, held: StartLease, error: Exception) -> None:
    reason = str(error) if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
    logger.warning("schedule.start_failed", extra={"run": held.run_id, "error": reason})
    transact(engine, partial(schedule_runs.give_up, held=held, state=RunState.FAILED, reason=reason))


@contextmanager
def _signs_of_life(engine: Engine, held: StartLease) -> Iterator[None]:
    """Renew the lease from time to time inside `with`, by the database's clock."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(STARTER_SILENCE_S / SIGNS):
            try:
                if not transact(engine, partial(schedule_runs.renew, held=held)):
                    return
            except TransientError as error:
                logger.warning("schedule.start_not_renewed", extra={"run": held.run_id, "error": str(error)})

    thread = threading.Thread(target=renew, name=f"start-of-run-{held.run_id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _start(parts: Parts, publisher: Publisher, held: StartLease) -> list[int]:
    with reading(parts.engine) as connection:
        run = schedule_runs.get(connection, held.run_id)
    # Anew for each run: a model that is the default today may not have been yesterday.
    checked = check_operations(parts.engine, json.loads(run.of_operations), json.loads(run.of_options), run.of_corpus)
    corpus_id = _refreshed_corpus(parts, run)
    with reading(parts.engine) as connection:
        require_groups(connection, corpus_id, run.of_corpus, [one.parameters for one in checked], listed=True)
    job_ids = [_start_job(parts, held, run, corpus_id, one) for one in checked]
    fault_points.reach("schedule.planned")
    _fence(is_held=transact(parts.engine, partial(schedule_runs.started, held=held)))
    for job_id in job_ids:
        dispatch_job(parts, publisher, job_id)
    logger.info("schedule.started", extra={"run": run.id, "schedule": run.name, "jobs": job_ids})
    return job_ids


def _refreshed_corpus(parts: Parts, run: AnyRow) -> int:
    inputs = json.loads(run.of_inputs)
    if not inputs:
        with reading(parts.engine) as connection:
            return corpus_id_of(connection, run.of_corpus)
    listing = listing_options(json.loads(run.of_listing), parts.settings)
    listed = list_sources(inputs, listing, stdin_dir=parts.settings.stdin_dir)
    corpus_id = transact(parts.engine, lambda connection: make_corpus(connection, run.of_corpus))
    refreshed = refresh_sources(parts.engine, corpus_id, listed, run.of_shard_bytes)
    logger.info(
        "schedule.listed",
        extra={"run": run.id, "added": refreshed.added, "changed": refreshed.changed, "removed": refreshed.removed},
    )
    return corpus_id


def listing_options(stored: dict[str, object], settings: Settings) -> ListingOptions:
    """Return how inputs are to be read, as a schedule keeps it and this machine's settings limit it."""
    given: dict[str, object] = {
        **stored,
        "max_record_bytes": settings.max_record_bytes,
        "input_roots": settings.input_roots,
    }
    return ListingOptions(**given)  # type: ignore[arg-type]  # what was stored came out of the same class


def _start_job(parts: Parts, held: StartLease, run: AnyRow, corpus_id: int, checked: CheckedOperation) -> int:
    """Make the run's job of one operation, or join the one that is under way, and plan it."""
    while True:
        job_id, is_planned = transact(parts.engine, partial(_choose, held=held, run=run, corpus=corpus_id, one=checked))
        if is_planned or plan_job(parts.engine, job_id, parts.settings.plan_sizes) is not None:
            return job_id
        with reading(parts.engine) as connection:
            job = next(job for job in schedule_runs.jobs_of(connection, run.id) if job.id == job_id)
        # A job that was joined and ended before it was planned anew does not have what is new.
        if not job.joined or job.state in OPEN_JOB_STATES:
            return job_id


def _choose(
    connection: Connection, held: StartLease, run: AnyRow, corpus: int, one: CheckedOperation
) -> tuple[int, bool]:
    """Return the job to plan, and whether a starter that died since has done that."""
    _fence(is_held=schedule_runs.renew(connection, held))
    for job in schedule_runs.jobs_of(connection, run.id):
        is_same = (job.operation, job.fingerprint) == (one.operation.name, one.fingerprint)
        if is_same and (not job.joined or job.state in OPEN_JOB_STATES):
            return int(job.id), job.sealed_at is not None
    job_id, was_there = find_or_make(connection, corpus, one, run.of_priority)
    schedule_runs.add_job(connection, run, job_id, run.of_document_limit, joined=was_there)
    return job_id, False


def _fence(*, is_held: bool) -> None:
    if not is_held:
        message = "somebody else starts this run by now"
        raise LeaseLostError(message)
