"""Computes a sample of a job's shards again, serially and by the reference, and compares what the database holds.

Reads the sources as workers do, changes nothing, and sends no message. Memory holds the words of one shard and of one
partition of the corpus's counts.
"""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import replace
from typing import Protocol

from storage import dead_letters, equation, jobs, progress, verification
from storage.documents import count_shadowed
from storage.engine import AnyRow, Connection, reading
from storage.errors import SourceChangedError, SourceUnavailableError, UsageError
from storage.states import COMPLETE_JOB_STATES
from tasks.keywords.reference import reference_keywords
from tasks.nn.backend import AnyBackend
from tasks.operation import as_merging, as_model, fingerprint_of, get_operation
from tasks.reference import reference_cut
from workers.bootstrap import Parts
from workers.verification.counts import CountComparison
from workers.verification.documents import (
    GPU_SCORE_TOLERANCE,
    SCORE_TOLERANCE,
    DocumentComparison,
    Judge,
    KeywordJudge,
    LabelJudge,
    SummaryJudge,
    TokenJudge,
)
from workers.verification.duplicates import DuplicateComparison
from workers.verification.new_words import NewWordComparison
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, compare_figures, left_out, open_shard


class Comparison(Protocol):
    """What compares the shards of one operation."""

    def compare_shard(self, again: Reread) -> None:
        """Compute a shard again and compare its results."""
        ...


def verify_job(parts: Parts, job_id: int, number: int | None, seed: int) -> Report:
    """Verify so many shards of a job, chosen by the seed, or all of them; see `Report`.

    Raises `UsageError` for a job that is not there, has no results or cannot be computed again here.
    """
    with reading(parts.engine) as connection:
        job = jobs.get(connection, job_id)
        shards = verification.shards_to_compute(connection, job_id)
    chosen = shards if number is None or number >= len(shards) else random.Random(seed).sample(shards, number)  # noqa: S311 - a sample that can be drawn again
    report = Report(job_id, job.corpus, job.operation, seed, len(shards), len(chosen))
    _require_same_program(job)
    comparison = _comparison(parts, job, report)
    for shard_id in sorted(chosen):
        _compare_shard(parts, shard_id, comparison, report)
    if job.state in COMPLETE_JOB_STATES:
        with reading(parts.engine) as connection:
            has_changed = _compare_plan(connection, job, report)
            _compare_totals(connection, job, report, has_changed=has_changed)
        if isinstance(comparison, CountComparison | DuplicateComparison | NewWordComparison):
            comparison.compare_sum()
    else:
        report.left_out.append(f"the job is {job.state}: its sums are compared when it is done")
    with reading(parts.engine) as connection:
        report.standing_dead = dead_letters.standing(connection, job_id)
    return report


def _require_same_program(job: AnyRow) -> None:
    """Raise `UsageError` where this program would compute something else, and rightly so."""
    now = fingerprint_of(get_operation(job.operation), jobs.parameters(job))
    if now != job.fingerprint:
        message = (
            f"job {job.id} was computed by another version of hanmill, jieba or its dictionary (fingerprint "
            f"{job.fingerprint[:8]}, here it would be {now[:8]}): verify it with that one, or run the job again"
        )
        raise UsageError(message)


def _comparison(parts: Parts, job: AnyRow, report: Report) -> Comparison:
    operation = get_operation(job.operation)
    if as_model(operation) is not None:
        return DocumentComparison(parts, job, _model_judge(parts, job, report), report)
    if job.operation == "keywords":
        find = reference_keywords(jobs.parameters(job), parts.workplace)
        return DocumentComparison(parts, job, KeywordJudge(job.fingerprint, find), report)
    if job.operation == "dedup":
        return DuplicateComparison(parts, job, report)
    if job.operation == "discover":
        return NewWordComparison(parts, job, report)
    cut = reference_cut(jobs.parameters(job), parts.workplace)
    if as_merging(operation) is not None:
        return CountComparison(parts, job, cut, report)
    return DocumentComparison(parts, job, TokenJudge(job.fingerprint, cut), report)


def _model_judge(parts: Parts, job: AnyRow, report: Report) -> Judge:
    backend = _open_model(parts, job)
    if job.operation == "summarize":
        return SummaryJudge(job.fingerprint, backend)
    with reading(parts.engine) as connection:
        devices = verification.devices_of(connection, job.fingerprint)
    report.tolerance = SCORE_TOLERANCE if devices <= {"cpu"} else GPU_SCORE_TOLERANCE
    return LabelJudge(job.fingerprint, backend, report.tolerance)


def _open_model(parts: Parts, job: AnyRow) -> AnyBackend:
    operation, parameters = as_model(get_operation(job.operation)), jobs.parameters(job)
    if parameters.get("backend") == "openai":
        message = f"job {job.id}: a server made these summaries, and may well make others when it is asked again"
        raise UsageError(message)
    try:
        from workers.device import choose_device  # noqa: PLC0415 - loads PyTorch
    except ModuleNotFoundError as error:
        message = f"computing the results of a model needs {error.name}: pip install 'hanmill[models]'"
        raise UsageError(message) from error
    workplace = replace(parts.workplace, device=choose_device(parts.settings.device))
    if operation is None:
        message = f"{job.operation} is no operation with a model"
        raise TypeError(message)
    return operation.open_backend(parameters, workplace)


def _compare_shard(parts: Parts, shard_id: int, comparison: Comparison, report: Report) -> None:
    # What is found in a shard whose source changes while it is read says nothing, and is forgotten.
    before = (report.found, len(report.differences), report.compared.copy())
    try:
        again = open_shard(parts, shard_id, report)
        if again is None:
            return
        comparison.compare_shard(again)
    except (SourceChangedError, SourceUnavailableError) as error:
        report.found, report.compared = before[0], before[2]
        del report.differences[before[1] :]
        report.left_out.append(left_out(error, shard_id))
        return
    compare_figures(again, report)
    report.compared["shards"] += 1


def _compare_plan(connection: Connection, job: AnyRow, report: Report) -> bool:
    """Compare what the job's shards read with what there was to read; say whether a source has changed since.

    Every range of every source must be read, and no two shards whose documents count may read the very same.
    """
    seen: dict[bytes, int] = {}
    begun: set[tuple[int, int, int]] = set()
    for shard_id, pieces, counts in verification.pieces_read(connection, job.id):
        begun.update((source, version, offset) for source, offset, _, version in json.loads(pieces).get("files", ()))
        if counts:
            first = seen.setdefault(hashlib.sha256(pieces.encode()).digest(), shard_id)
            report.compare("plan", f"the same as shard {first}" if first != shard_id else "", "", shard=shard_id)
    if job.below_position is None:
        return False
    versions = {source: version for source, version, _ in begun}
    has_changed = False
    for source in verification.sources_of(connection, job.corpus_id, job.below_position):
        if versions.get(source.id, source.version) != source.version:
            has_changed = True
            continue
        for offset, _ in json.loads(source.cuts) if source.cuts else [[0, -1]]:
            is_read = (source.id, source.version, offset) in begun
            report.compare("plan", is_read, True, document=f"{source.uri} at {offset}")  # noqa: FBT003 - what is compared
    return has_changed


def _compare_totals(connection: Connection, job: AnyRow, report: Report, *, has_changed: bool) -> None:
    """Compare the equation, the counters and the dead letters of the whole job."""
    view = jobs.view(connection, job.id)
    accounted = view["results"] + view["identical"] + view["replaced"] + view["dead"]
    report.compare("equation", view["documents"], accounted)
    for fault in progress.differences_of(connection, job.id):
        report.differs("counters", fault, "the sums over the shards")
    for fault in equation.faults(connection, job):
        report.differs("equation", fault, "documents in = results + identical + replaced + dead letters")
    if as_merging(get_operation(job.operation)) is None and job.below_position is not None and not has_changed:
        below = (job.below_position, job.below_document)
        shadowed = count_shadowed(connection, job.corpus_id, below, job.id)
        report.compare("identical and replaced", (view["identical"], view["replaced"]), shadowed)


def nothing_compared(report: Report) -> bool:
    """Say whether there were shards to compare and none could be."""
    return report.chosen > 0 and report.compared["shards"] == 0
