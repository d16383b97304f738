"""Many shards at once through one model: a reader ahead, batches by token budget, results with the shards' DONE.

A message says only that there is work: with its shard as many like it are leased as fill the batch budget, so that a
thousand shards of one document make few batches. Whoever loses its lease on the way drops out alone.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from billiard.exceptions import SoftTimeLimitExceeded

from storage import batch_runs, dead_letters, fault_points, jobs, ledger
from storage.batch_runs import BatchRun
from storage.dead_letters import DeadLetter
from storage.documents import Document, save_records
from storage.engine import AnyRow, Connection, reading, transact
from storage.errors import HanmillError, TransientError, UsageError
from storage.ledger import Lease, Outcome
from storage.shard_input import Letters
from tasks.model_runners import Runner, drop_runners, runner_for
from tasks.nn.backend import UnfitTextError
from tasks.nn.batch_runner import BackendBrokenError
from tasks.nn.offline import join_outputs
from tasks.nn.token_batches import BatchStatistics
from tasks.operation import ModelOperation
from workers.attempt_end import AttemptEnd
from workers.batch_interpreter import set_for_batches
from workers.batch_reader import BatchReader, Prepared, ReadBatch
from workers.bootstrap import Parts
from workers.device import choose_device
from workers.heartbeat import Heartbeat
from workers.log_context import fields_of_lease, inherited, log_fields, without_fields
from workers.memory_limit import limit_memory
from workers.shard_ends import ShardEnds
from workers.stall_guard import StallGuard

logger = logging.getLogger(__name__)

#: What is sorted by length together, in token budgets: the more, the less padding; the fewer, the sooner written.
POOL_BUDGETS = 16
#: Where a device computes more than that in so many seconds, a pool holds as much: a larger transaction writes less.
POOL_S = 1.0
#: A pool is closed at so many documents or bytes of text too, so that no transaction is long.
POOL_DOCUMENTS = 8_000
POOL_BYTES = 16 * 1024 * 1024
#: Where nothing is sorted, because nothing goes to a device, at so many documents already.
POOL_DOCUMENTS_WITHOUT_DEVICE = 200
#: How much longer than for a model that is not there is waited for one that computes nothing just now.
PATIENCE_WITH_DEVICES = 5
#: The status of a process that ends because its device has failed it; its worker starts a fresh one.
EXIT_DEVICE_BROKEN = 70


def run_batch(parts: Parts, operation: ModelOperation, first: Lease, worker: str) -> list[AttemptEnd]:
    """Run a leased shard and others that may be computed with it; return how each attempt ended."""
    ends = ShardEnds(parts, first, with_company=not first.is_half)
    if ends.is_suspect():
        try:
            if ends.halve_or_bury():
                return [ends.end]
        except Exception as error:  # noqa: BLE001 - every error has its end
            ends.end_by(error)
            return [ends.end]
    leases = [first, *_companions(parts, first, worker)]
    fault_points.reach("batch.leased")
    with _named(leases), Heartbeat(parts.engine, leases, parts.settings.lease_s) as heartbeat:
        return BatchAttempt(parts, operation, leases, heartbeat).run()


def _named(leases: Sequence[Lease]) -> AbstractContextManager[None]:
    """Have log lines name the one shard that runs; where many run together, its job, and how many they are."""
    first = leases[0]
    if len(leases) == 1:
        return log_fields(**fields_of_lease(first))
    return without_fields("shard", "attempt", job=first.job_id, shards=len(leases))


def _companions(parts: Parts, first: Lease, worker: str) -> list[Lease]:
    if first.failures or first.losses >= ledger.LOSSES_IN_COMPANY or first.is_half:
        return []
    settings = parts.settings
    lease = partial(
        ledger.lease_companions,
        first=first,
        worker=worker,
        lease_s=settings.lease_s,
        max_bytes=settings.batch_bytes,
        max_shards=settings.batch_shards,
    )
    return transact(parts.engine, lease)


def _pool_positions(runner: Runner) -> int:
    """Return how many positions make a pool, by how fast the device has been so far."""
    statistics = runner.batches.statistics
    positions_per_s = statistics.tokens / statistics.forward_s if statistics.forward_s else 0.0
    return max(POOL_BUDGETS * runner.batches.token_budget, int(POOL_S * positions_per_s))


@dataclass(slots=True)
class _Shard:
    """How far one shard of the run is."""

    held: Lease
    ends: ShardEnds
    documents_in: int = 0
    results: int = 0
    dead: int = 0
    #: Written to before, by this attempt.
    is_begun: bool = False
    #: Ended, one way or the other: nothing of it is read or written any more.
    is_over: bool = False


@dataclass(slots=True)
class _Computed:
    """A batch of one shard with what the model made of it, ready to be written."""

    shard: _Shard
    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    results: dict[bytes, Any] = field(default_factory=dict)
    is_last: bool = False


class BatchAttempt:
    """One run over leased shards of one operation and fingerprint."""

    def __init__(self, parts: Parts, operation: ModelOperation, leases: Sequence[Lease], heartbeat: Heartbeat) -> None:
        self._parts = parts
        self._operation = operation
        self._heartbeat = heartbeat
        self._shards = {held.shard_id: _Shard(held, ShardEnds(parts, held)) for held in leases}
        with reading(parts.engine) as connection:
            self._job: AnyRow = jobs.get(connection, leases[0].job_id)
        self._fingerprint: str = self._job.fingerprint
        self._workplace = parts.workplace
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batch-writer")
        self._writing: Future[None] | None = None
        self._letters = Letters()
        self._documents = 0
        self._writing_s = 0.0

    def run(self) -> list[AttemptEnd]:
        """Run every shard to one of its ends, and return them."""
        self._run()
        return [shard.ends.end for shard in self._shards.values()]

    def _run(self) -> None:
        try:
            self._workplace = replace(self._workplace, device=choose_device(self._parts.settings.device))
            runner = runner_for(self._operation, jobs.parameters(self._job), self._workplace)
        except (UsageError, BackendBrokenError) as error:
            self._not_ready(error)
            return
        if self._workplace.device == "cpu":
            limit_memory(self._parts.settings.process_memory_bytes)
        runner.batches.statistics = BatchStatistics()
        runner.batches.let_through = (SoftTimeLimitExceeded,)
        failure: Exception | None = None
        try:
            with self._guard(runner), set_for_batches():
                try:
                    self._compute(runner)
                finally:
                    # What is being written may still bring shards to a good end.
                    self._writer.shutdown()
        except Exception as error:  # noqa: BLE001 - every error has its end
            failure = error
        if isinstance(failure, BackendBrokenError):
            self._broken(failure)
        elif failure is not None:
            self._end_rest(failure)

    def _guard(self, runner: Runner) -> StallGuard:
        """Return what notices that neither the device nor the writing goes on any more."""
        settings, done = self._parts.settings, self._heartbeat.bytes_done
        statistics = runner.batches.statistics
        return StallGuard(
            settings.stall_limit_s, settings.frozen_limit_s, lambda: (statistics.batches, sum(done.values()))
        )

    # --- the pipeline

    def _compute(self, runner: Runner) -> None:
        started = time.perf_counter()
        leases = [shard.held for shard in self._shards.values()]
        with BatchReader(self._parts, leases, runner.backend, self._known, self._is_wanted) as reader:
            for pool in self._pools(reader, runner):
                self._submit(runner, pool, *self._forward(runner, pool))
            self._wait_for_writer()
        statistics = runner.batches.statistics
        run = BatchRun(
            operation=self._operation.name,
            fingerprint=self._fingerprint,
            model=runner.backend.digest,
            device=self._workplace.device,
            shards=len(leases),
            documents=self._documents,
            batches=statistics.batches,
            tokens=statistics.tokens,
            padded_tokens=statistics.padded_tokens,
            batch_fill=statistics.batch_fill,
            token_budget=runner.batches.token_budget,
            out_of_memory=statistics.out_of_memory,
            elapsed_s=time.perf_counter() - started,
            forward_s=statistics.forward_s,
            waiting_s=reader.waiting_s,
            writing_s=self._writing_s,
        )
        transact(self._parts.engine, partial(batch_runs.save, run=run))
        logger.info("batch.ended", extra={**run.as_fields(), "padding_waste": round(statistics.padding_waste, 4)})

    def _known(self, connection: Connection, digests: Sequence[bytes]) -> set[bytes]:
        return set(self._operation.known(connection, self._fingerprint, digests))

    def _is_wanted(self, shard_id: int) -> bool:
        return not self._shards[shard_id].is_over and not self._heartbeat.is_lost(shard_id)

    def _pools(self, reader: BatchReader, runner: Runner) -> Iterator[list[ReadBatch]]:
        """Yield what is to be sorted by length together."""
        pool: list[ReadBatch] = []
        positions, documents, size_bytes = 0, 0, 0
        for read in reader:
            pool.append(read)
            positions += read.positions
            documents += len(read.batch.documents) + len(read.batch.letters)
            size_bytes += read.batch.size_bytes
            most = POOL_DOCUMENTS if positions else POOL_DOCUMENTS_WITHOUT_DEVICE
            if positions >= _pool_positions(runner) or documents >= most or size_bytes >= POOL_BYTES:
                yield pool
                pool = []
                positions, documents, size_bytes = 0, 0, 0
        if pool:
            yield pool

    def _forward(self, runner: Runner, pool: Sequence[ReadBatch]) -> tuple[dict[bytes, Prepared], list[Any]]:
        """Compute the windows of a pool; return its texts by their digests, and the outputs in the same order."""
        texts: dict[bytes, Prepared] = {}
        for read in pool:
            if self._is_wanted(read.shard_id):
                texts.update(read.prepared)
        return texts, runner.batches.run([window for one in texts.values() for window in one.windows])

    # --- results and their writing, in a thread of its own

    def _submit(
        self, runner: Runner, pool: Sequence[ReadBatch], texts: Mapping[bytes, Prepared], outputs: Sequence[Any]
    ) -> None:
        """Let a pool's results be made and written while the next one is computed; at most one waits."""
        self._wait_for_writer()
        self._writing = self._writer.submit(inherited(self._finish), runner, pool, texts, outputs)

    def _wait_for_writer(self) -> None:
        if self._writing is not None:
            self._writing.result()

    def _finish(
        self, runner: Runner, pool: Sequence[ReadBatch], texts: Mapping[bytes, Prepared], outputs: Sequence[Any]
    ) -> None:
        started = time.perf_counter()
        coming = iter(outputs)
        results: dict[bytes, Any] = {}
        for digest, one in texts.items():
            of_text = [next(coming) for _ in one.windows]
            results[digest] = one.error or join_outputs(runner.backend, one.text, one.windows, of_text)
        self._write(runner, [self._computed(read, results) for read in pool])
        self._writing_s += time.perf_counter() - started

    def _computed(self, read: ReadBatch, results: Mapping[bytes, Any]) -> _Computed:
        shard = self._shards[read.shard_id]
        computed = _Computed(shard, is_last=read.is_last)
        if read.error is not None:
            self._end(shard, read.error)
        if not self._is_wanted(read.shard_id):
            return computed
        computed.letters.extend(read.batch.letters)
        for document in read.batch.documents:
            result = results[document.sha256] if document.sha256 in read.prepared else None
            if isinstance(result, UnfitTextError):
                computed.letters.append(self._letters.letter(document, result.reason, result.detail))
                continue
            computed.documents.append(document)
            if result is not None:
                computed.results[document.sha256] = result
        shard.documents_in += len(read.batch.documents) + len(read.batch.letters)
        shard.results += len(computed.documents)
        shard.dead += len(computed.letters)
        self._documents += len(read.batch.documents)
        self._heartbeat.bytes_done[read.shard_id] += read.batch.size_bytes
        return computed

    def _write(self, runner: Runner, computed: Sequence[_Computed]) -> None:
        by_shard: dict[int, list[_Computed]] = {}
        for one in computed:
            if not one.shard.is_over:
                by_shard.setdefault(one.shard.held.shard_id, []).append(one)
        lost: list[int] = []

        def work(connection: Connection) -> None:
            # Tried again as a whole when the database was busy.
            lost.clear()
            # In one order, so that two workers never wait for each other in a circle.
            written = {
                shard_id: self._write_shard(connection, runner, by_shard[shard_id]) for shard_id in sorted(by_shard)
            }
            lost.extend(shard_id for shard_id, holds in written.items() if not holds)
            fault_points.reach("batch.uncommitted")

        fault_points.reach("batch.computed")
        transact(self._parts.engine, work)
        fault_points.reach("batch.written")
        for shard_id, parts in by_shard.items():
            shard = self._shards[shard_id]
            shard.is_begun = True
            if shard_id in lost or parts[-1].is_last:
                self._leave(shard, is_lost=shard_id in lost)

    def _write_shard(self, connection: Connection, runner: Runner, parts: Sequence[_Computed]) -> bool:
        """Write what belongs to one shard, with its DONE if that was the last of it; False when its lease is lost."""
        shard = parts[0].shard
        if parts[-1].is_last:
            outcome = Outcome(shard.documents_in, shard.results, shard.dead, 0)
            # The fence comes first: whatever follows is written only by the attempt that holds the shard.
            holds = ledger.finish(connection, shard.held, outcome)
        else:
            holds = ledger.holds(connection, shard.held)
        if not holds:
            return False
        if not shard.is_begun and shard.held.attempts > 1:
            dead_letters.clear(connection, shard.held)
        save_records(connection, [document for one in parts for document in one.documents])
        dead_letters.save(connection, shard.held, [letter for one in parts for letter in one.letters])
        results = {digest: result for one in parts for digest, result in one.results.items()}
        self._operation.save(connection, self._fingerprint, runner.backend, results)
        return True

    # --- ends

    def _leave(self, shard: _Shard, *, is_lost: bool = False) -> None:
        shard.is_over = True
        self._heartbeat.ended(shard.held.shard_id)
        fields = fields_of_lease(shard.held)
        if is_lost:
            shard.ends.lost()
            logger.warning("shard.lease_lost", extra=fields)
        else:
            logger.info("shard.ended", extra=fields)

    def _end(self, shard: _Shard, error: Exception) -> None:
        """End one shard by its error; the others go on."""
        if not shard.is_over:
            shard.is_over = True
            self._heartbeat.ended(shard.held.shard_id)
            shard.ends.end_by(error)

    def _end_rest(self, error: Exception) -> None:
        """End every shard that has not ended by an error of the run."""
        alone = len(self._shards) == 1
        for shard in self._shards.values():
            # Which of many shards is to blame is not known: each is tried again, alone, and then it is.
            blamed = error if alone or not isinstance(error, HanmillError) else TransientError(str(error))
            self._end(shard, blamed)

    def _not_ready(self, error: Exception) -> None:
        """Wait for the model; when that has been in vain for long, the jobs fail with the reason."""
        reason = str(error)
        tries = self._parts.settings.max_deferrals
        if isinstance(error, BackendBrokenError):
            # A server that is being restarted comes back; a directory that was altered does not.
            tries *= PATIENCE_WITH_DEVICES
        for shard in self._shards.values():
            if shard.is_over:
                continue
            shard.is_over = True
            self._heartbeat.ended(shard.held.shard_id)
            if shard.held.deferrals >= tries:
                shard.ends.give_up_job(reason)
            else:
                logger.warning("shard.deferred", extra={**fields_of_lease(shard.held), "error": reason})
                shard.ends.defer(reason)

    def _broken(self, error: BackendBrokenError) -> None:
        """Put everything back; a process whose GPU has failed it can only be replaced."""
        logger.error("batch.device_broken", extra={"error": str(error)})
        drop_runners()
        self._not_ready(error)
        if self._workplace.device.startswith("cuda"):
            os._exit(EXIT_DEVICE_BROKEN)
