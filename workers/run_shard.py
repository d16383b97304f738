"""One shard from lease to commit: read, compute, write. Knows no queue; `celery_tasks.py` calls it.

Shards whose texts a model computes go to `run_batch.py`. How a shard ends that does not end well: `shard_ends.py`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from storage import dead_letters, fault_points, jobs, ledger
from storage.dead_letters import DeadLetter
from storage.documents import Document, save_records
from storage.engine import AnyRow, Connection, reading, transact
from storage.ledger import Lease, Outcome
from storage.shard_input import Batch, ShardInput
from tasks.operation import (
    ModelOperation,
    Run,
    Save,
    ShardOperation,
    ShardWork,
    as_merging,
    as_model,
    as_per_shard,
    get_operation,
    names_places,
)
from workers.attempt_end import AttemptEnd
from workers.bootstrap import Parts
from workers.heartbeat import Heartbeat
from workers.log_context import fields_of_lease, log_fields
from workers.memory_limit import limit_memory
from workers.shard_ends import ShardEnds, fence
from workers.stall_guard import StallGuard

logger = logging.getLogger(__name__)

#: Results are written ahead of the shard's end when the documents they belong to reach this many bytes, so that no
#: transaction is long and no shard is held in memory.
FLUSH_BYTES = 4 * 1024 * 1024


def run_shard(parts: Parts, shard_id: int, worker: str) -> list[AttemptEnd]:
    """Run a shard if it can be claimed, and others with it if a model computes them; return how each attempt ended."""
    lease_s = parts.settings.lease_s
    fault_points.reach("shard.unleased")
    token = ledger.new_token()
    held = transact(parts.engine, lambda connection: ledger.lease(connection, shard_id, worker, lease_s, token))
    if held is None:
        logger.debug("shard.not_claimed", extra={"shard": shard_id})
        return []
    fault_points.reach("shard.leased")
    with log_fields(**fields_of_lease(held)):
        return _run_leased(parts, held, worker)


def _run_leased(parts: Parts, held: Lease, worker: str) -> list[AttemptEnd]:
    with reading(parts.engine) as connection:
        job = jobs.get(connection, held.job_id)
    model = as_model(get_operation(job.operation))
    if model is not None:
        return _run_in_batch(parts, model, held, worker)
    limit_memory(parts.settings.process_memory_bytes)
    with Heartbeat(parts.engine, [held], parts.settings.lease_s) as heartbeat:
        return [ShardAttempt(parts, held, heartbeat, job).run()]


def _run_in_batch(parts: Parts, model: ModelOperation, held: Lease, worker: str) -> list[AttemptEnd]:
    try:
        from workers.run_batch import run_batch  # noqa: PLC0415 - counting needs no PyTorch
    except ModuleNotFoundError as error:
        ends = ShardEnds(parts, held)
        ends.defer(f"this worker lacks {error.name}: pip install 'hanmill[models]'")
        return [ends.end]
    return run_batch(parts, model, held, worker)


def work_of(job: AnyRow, digest: bytes | None = None, partition: int | None = None) -> ShardWork:
    """Return what a shard of a job is to its operation."""
    return ShardWork(job.id, job.corpus_id, job.fingerprint, jobs.parameters(job), job.partitions, digest, partition)


@dataclass(slots=True)
class _Pending:
    """What is computed and not yet written."""

    saves: list[Save] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    size_bytes: int = 0


class ShardAttempt:
    """One attempt at one shard, under one lease."""

    def __init__(self, parts: Parts, held: Lease, heartbeat: Heartbeat, job: AnyRow) -> None:
        self._parts = parts
        self._held = held
        self._heartbeat = heartbeat
        self._job = job
        self._operation: ShardOperation = as_per_shard(get_operation(job.operation))
        self._ends = ShardEnds(parts, held)
        self._pending = _Pending()
        self._documents_in = 0
        self._dead = 0
        self._repeated = 0

    def run(self) -> AttemptEnd:
        """Run the shard to one of its ends; only a bug gets out of here, and it is written down before."""
        try:
            self._dispatch()
        except Exception as error:  # noqa: BLE001 - every error has its end
            self._ends.end_by(error)
        else:
            logger.info("shard.ended", extra=fields_of_lease(self._held))
        return self._ends.end

    def _dispatch(self) -> None:
        fault_points.reach("shard.begun")
        if self._held.kind == "merge":
            self._merge()
        elif not (self._ends.is_suspect() and self._ends.halve_or_bury()):
            settings, shard_id = self._parts.settings, self._held.shard_id
            done = self._heartbeat.bytes_done
            with StallGuard(settings.stall_limit_s, settings.frozen_limit_s, lambda: done[shard_id]):
                self._map()

    # --- map

    def _map(self) -> None:
        settings = self._parts.settings
        source = ShardInput(
            self._parts.engine,
            self._held.pieces or {},
            settings.readable_roots,
            without_missing=self._held.deferrals >= settings.max_deferrals,
        )
        merging = as_merging(self._operation)
        digest = source.digest(with_places=names_places(self._operation)) if merging else None
        work = work_of(self._job, digest)
        known = merging.known(work, self._parts.workplace) if merging else None
        if known is not None:
            records = known.documents + source.repeated
            self._finish(Outcome(records, records, 0, known.tokens, work.digest, known.partitions), None)
            return
        self._forget_earlier_attempts()
        run = self._operation.start(work, self._parts.workplace)
        for batch in source.batches():
            self._take(run, batch)
        last = run.finish(self._dead)
        # A document that is left out is accounted for by the one that stands for it.
        results = run.results + self._repeated
        outcome = Outcome(self._documents_in, results, self._dead, run.tokens, work.digest, work.partitions)
        self._finish(outcome, last)

    def _take(self, run: Run, batch: Batch) -> None:
        self._heartbeat.check(self._held.shard_id)
        save = run.take(batch.documents)
        if save is not None:
            self._pending.saves.append(save)
            self._pending.documents.extend(batch.documents)
        self._pending.letters.extend(batch.letters)
        self._pending.size_bytes += batch.size_bytes
        self._documents_in += batch.records
        self._dead += len(batch.letters)
        self._repeated += batch.repeated
        self._heartbeat.bytes_done[self._held.shard_id] += batch.size_bytes
        if self._pending.size_bytes >= FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what is computed so far; results are keyed by content, so that a second writing changes nothing."""
        if self._pending.saves or self._pending.letters:

            def work(connection: Connection) -> None:
                fence(self._held, holds=ledger.holds(connection, self._held))
                self._save_pending(connection)

            transact(self._parts.engine, work)
        self._pending = _Pending()

    def _forget_earlier_attempts(self) -> None:
        """Take back the dead letters that an attempt wrote before it ended: this one may come to others."""
        if self._held.attempts > 1:

            def work(connection: Connection) -> None:
                fence(self._held, holds=ledger.holds(connection, self._held))
                dead_letters.clear(connection, self._held)

            transact(self._parts.engine, work)

    def _save_pending(self, connection: Connection) -> None:
        save_records(connection, self._pending.documents)
        dead_letters.save(connection, self._held, self._pending.letters)
        for save in self._pending.saves:
            save(connection)

    def _finish(self, outcome: Outcome, last: Save | None) -> None:
        def work(connection: Connection) -> None:
            # The fence comes first: whatever follows is written only by the attempt that holds the shard.
            fence(self._held, holds=ledger.finish(connection, self._held, outcome))
            fault_points.reach("shard.done_unwritten")
            self._save_pending(connection)
            if last is not None:
                last(connection)
            fault_points.reach("shard.uncommitted")

        fault_points.reach("shard.computed")
        transact(self._parts.engine, work)
        fault_points.reach("shard.committed")

    # --- merge

    def _merge(self) -> None:
        if self._ends.is_exhausted():
            tries = f"summing partition {self._held.partition} failed {self._held.failures} times"
            self._ends.give_up_job(f"{tries}; see `hanmill status`")
            return
        merging = as_merging(self._operation)
        if merging is None:
            message = f"job {self._job.id} has a merge, but {self._operation.name} has none"
            raise TypeError(message)
        work = work_of(self._job, partition=self._held.partition)
        save = merging.merge(work, self._job.generation_id, self._parts.workplace)
        fault_points.reach("merge.computed")
        self._heartbeat.check(self._held.shard_id)
        self._finish(Outcome(0, 0, 0, 0), save)
