"""Makes jobs of inputs: checks everything first, refreshes the corpus, plans, and lets the first messages go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from storage import fault_points, jobs, resources
from storage.corpora import Refreshed, lock_corpus, make_corpus, refresh_sources
from storage.engine import Connection, Engine, reading, transact
from storage.errors import UsageError
from storage.job_ledger import resume
from storage.job_limits import unlimit_job
from storage.planning import Plan, plan_job
from storage.sources import ListingOptions, list_sources
from storage.states import OPEN_JOB_STATES
from tasks.operation import Intake, Operation, fingerprint_of, get_operation
from workers.bootstrap import Parts
from workers.dispatch import Publisher, dispatch_job
from workers.skipping import check_skipping, require_groups, skipping_parameters


@dataclass(frozen=True, slots=True)
class Order:
    """What a user asks for: inputs into a corpus, and operations over it."""

    corpus: str
    inputs: Sequence[str]
    operations: Sequence[str]
    #: Options of the operations, by name: mode, hmm, user_dict, stopwords, min_length, pattern; models, backend,
    #: length, max_chars, endpoint, chat_template_kwargs, beams, faithful; method, top_keywords, idf, refresh_idf;
    #: max_length, min_count, min_pmi, min_entropy; similarity, skip_duplicates.
    options: Mapping[str, Any]
    listing: ListingOptions
    shard_bytes: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class SubmittedJob:
    """One job of an order, and what planning it found."""

    id: int
    operation: str
    plan: Plan | None
    resumed: bool


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of an order."""

    refreshed: Refreshed
    jobs: Sequence[SubmittedJob]


@dataclass(frozen=True, slots=True)
class CheckedOperation:
    """An operation with its options checked, so that nothing about it can be wrong later."""

    operation: Operation
    parameters: Mapping[str, Any]
    fingerprint: str


def check_operations(
    engine: Engine, names: Sequence[str], options: Mapping[str, Any], corpus: str = ""
) -> list[CheckedOperation]:
    """Check operations over a corpus and their options; raises `UsageError`. Dictionaries named by path are stored."""
    if options.get("models") and not any(get_operation(name).uses_model for name in names):
        message = "--model is for summarize and classify; --do names neither"
        raise UsageError(message)
    check_skipping(names, options)
    intake = intake_of(engine, corpus)
    checked = []
    for name in dict.fromkeys(names):
        operation = get_operation(name)
        parameters = {**operation.parameters(options, intake), **skipping_parameters(name, options)}
        checked.append(CheckedOperation(operation, parameters, fingerprint_of(operation, parameters)))
    return checked


def intake_of(engine: Engine, corpus: str) -> Intake:
    """Return what operations find where a job over a corpus is ordered."""
    return Intake(engine, lambda data: transact(engine, lambda connection: resources.add(connection, data)), corpus)


def submit(parts: Parts, publisher: Publisher, order: Order) -> Submitted:
    """Turn an order into jobs that run.

    Raises `UsageError` before anything is written when an input, an option or an operation is wrong.
    """
    checked = check_operations(parts.engine, order.operations, order.options, order.corpus)
    wanted = [one.parameters for one in checked]
    listed = list_sources(order.inputs, order.listing, stdin_dir=parts.settings.stdin_dir)
    corpus_id = transact(parts.engine, partial(_corpus_for, order=order, wanted=wanted))
    refreshed = refresh_sources(parts.engine, corpus_id, listed, order.shard_bytes)
    with reading(parts.engine) as connection:
        require_groups(connection, corpus_id, order.corpus, wanted, listed=True)
    fault_points.reach("submit.refreshed")
    submitted = [_submit_job(parts, publisher, corpus_id, one, order.priority) for one in checked]
    return Submitted(refreshed, submitted)


def submit_over(parts: Parts, publisher: Publisher, order: Order) -> Submitted:
    """Turn an order into jobs over its corpus as it stands; its inputs are not looked at. Raises `UsageError`."""
    checked = check_operations(parts.engine, order.operations, order.options, order.corpus)
    corpus_id = transact(parts.engine, lambda connection: make_corpus(connection, order.corpus))
    return Submitted(Refreshed(), [_submit_job(parts, publisher, corpus_id, one, order.priority) for one in checked])


def _corpus_for(connection: Connection, order: Order, wanted: Sequence[Mapping[str, Any]]) -> int:
    """Return the corpus of an order, made if it is not there; not made for an order that needs its duplicates."""
    corpus_id = make_corpus(connection, order.corpus)
    require_groups(connection, corpus_id, order.corpus, wanted, listed=False)
    return corpus_id


def _submit_job(
    parts: Parts, publisher: Publisher, corpus_id: int, checked: CheckedOperation, priority: int
) -> SubmittedJob:
    while True:
        job_id, resumed = transact(
            parts.engine, lambda connection: _find_or_make(connection, corpus_id, checked, priority)
        )
        fault_points.reach("submit.made")
        plan = plan_job(parts.engine, job_id, parts.settings.plan_sizes)
        with reading(parts.engine) as connection:
            state = jobs.get(connection, job_id).state
        # A job that ended before it was planned anew does not have what was just added.
        if plan is not None or state in OPEN_JOB_STATES:
            break
    dispatch_job(parts, publisher, job_id)
    return SubmittedJob(job_id, checked.operation.name, plan, resumed)


def _find_or_make(connection: Connection, corpus_id: int, checked: CheckedOperation, priority: int) -> tuple[int, bool]:
    job_id, was_there = find_or_make(connection, corpus_id, checked, priority)
    if was_there:
        resume(connection, job_id)
        # A job of a schedule may have stopped half way; who submits it wants all of it.
        unlimit_job(connection, job_id)
    return job_id, was_there


def find_or_make(connection: Connection, corpus_id: int, checked: CheckedOperation, priority: int) -> tuple[int, bool]:
    """Return the job of an operation over a corpus that has not ended, made if there is none, and whether it was."""
    name, fingerprint = checked.operation.name, checked.fingerprint
    # Two submits at once make one job.
    lock_corpus(connection, corpus_id)
    unfinished = jobs.find_unfinished(connection, corpus_id, name, fingerprint)
    if unfinished is not None:
        return unfinished, True
    new = jobs.NewJob(corpus_id, name, checked.parameters, fingerprint, priority)
    return jobs.make_job(connection, new), False
