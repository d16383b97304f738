"""One shard from lease to commit: read, compute, write. Knows no queue; `celery_tasks.py` calls it.

Everything that can go wrong ends in one of the ledger's transitions: done, failed, deferred, split, dead.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from storage import dead_letters, job_ledger, jobs, ledger
from storage.corpora import restamp_source
from storage.dead_letters import DeadLetter
from storage.documents import Document, save_records
from storage.engine import Connection, reading, transact
from storage.errors import HanmillError, LeaseLostError, SourceChangedError, TransientError, UsageError
from storage.ledger import Lease, Outcome
from storage.planning import plan_job
from storage.shard_input import Batch, ShardInput
from storage.states import JobState
from tasks.operation import Run, Save, ShardWork, as_merging, get_operation
from workers.bootstrap import Parts
from workers.heartbeat import Heartbeat

logger = logging.getLogger(__name__)

#: Results are written ahead of the shard's end when the documents they belong to reach this many bytes, so that no
#: transaction is long and no shard is held in memory.
FLUSH_BYTES = 4 * 1024 * 1024
#: Longest pause between two tries of a shard, in seconds.
MAX_DELAY_S = 60.0


def run_shard(parts: Parts, shard_id: int, worker: str) -> int | None:
    """Run a shard if it can be claimed; return its job's id, or None when there was nothing to do."""
    settings = parts.settings
    held = transact(parts.engine, lambda connection: ledger.lease(connection, shard_id, worker, settings.lease_s))
    if held is None:
        logger.debug("shard.not_claimed", extra={"shard": shard_id})
        return None
    with Heartbeat(parts.engine, held, settings.lease_s) as heartbeat:
        ShardAttempt(parts, held, heartbeat).run()
    return held.job_id


@dataclass(slots=True)
class _Pending:
    """What is computed and not yet written."""

    saves: list[Save] = field(default_factory=list)
    documents: list[Document] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    size_bytes: int = 0


class ShardAttempt:
    """One attempt at one shard, under one lease."""

    def __init__(self, parts: Parts, held: Lease, heartbeat: Heartbeat) -> None:
        self._parts = parts
        self._held = held
        self._heartbeat = heartbeat
        with reading(parts.engine) as connection:
            self._job = jobs.get(connection, held.job_id)
        self._operation = get_operation(self._job.operation)
        self._pending = _Pending()
        self._documents_in = 0
        self._dead = 0

    def run(self) -> None:
        """Run the shard to one of its ends; only a bug gets out of here, and it is written down before."""
        fields = {"job": self._held.job_id, "shard": self._held.shard_id, "attempt": self._held.attempts}
        try:
            self._dispatch()
        except LeaseLostError:
            logger.warning("shard.lease_lost", extra=fields)
        except SourceChangedError as error:
            logger.info("shard.source_changed", extra={**fields, "error": str(error)})
            self._plan_again()
        except (TransientError, UsageError) as error:
            # A usage error here is this worker's set-up (its input roots, say): no fault of the shard's.
            logger.warning("shard.deferred", extra={**fields, "error": str(error)})
            self._write(ledger.defer, str(error), _delay_s(self._held.deferrals))
        except Exception as error:
            # MemoryError too: let out, it would end Celery's main process.
            text = str(error) if isinstance(error, HanmillError) else f"{type(error).__name__}: {error}"
            logger.warning("shard.failed", extra={**fields, "error": text}, exc_info=logger.isEnabledFor(logging.DEBUG))
            self._write(ledger.fail, text, _delay_s(self._held.failures))
        else:
            logger.info("shard.ended", extra=fields)

    def _write(self, transition: Any, error: str, delay_s: float) -> None:
        transact(self._parts.engine, lambda connection: transition(connection, self._held, error, delay_s))

    def _dispatch(self) -> None:
        settings = self._parts.settings
        if self._held.kind == "merge":
            self._merge()
        elif self._held.failures >= settings.max_failures or self._held.losses >= settings.max_losses:
            self._halve_or_bury()
        else:
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
        work = self._shard_work(source.digest() if merging else None)
        known = merging.known(work, self._parts.workplace) if merging else None
        if known is not None:
            self._finish(
                Outcome(known.documents, known.documents, 0, known.tokens, work.digest, known.partitions), None
            )
            return
        self._forget_earlier_attempts()
        run = self._operation.start(work, self._parts.workplace)
        for batch in source.batches():
            self._take(run, batch)
        last = run.finish(self._dead)
        outcome = Outcome(self._documents_in, run.results, self._dead, run.tokens, work.digest, work.partitions)
        self._finish(outcome, last)

    def _shard_work(self, digest: bytes | None, partition: int | None = None) -> ShardWork:
        return ShardWork(
            self._job.id,
            self._job.corpus_id,
            self._job.fingerprint,
            jobs.parameters(self._job),
            self._job.partitions,
            digest,
            partition,
        )

    def _take(self, run: Run, batch: Batch) -> None:
        self._heartbeat.check()
        save = run.take(batch.documents)
        if save is not None:
            self._pending.saves.append(save)
            self._pending.documents.extend(batch.documents)
        self._pending.letters.extend(batch.letters)
        self._pending.size_bytes += batch.size_bytes
        self._documents_in += len(batch.documents) + len(batch.letters)
        self._dead += len(batch.letters)
        self._heartbeat.bytes_done += batch.size_bytes
        if self._pending.size_bytes >= FLUSH_BYTES:
            self._flush()

    def _flush(self) -> None:
        """Write what is computed so far; results are keyed by content, so that a second writing changes nothing."""
        if self._pending.saves or self._pending.letters:

            def work(connection: Connection) -> None:
                self._fence(ledger.holds(connection, self._held))
                self._save_pending(connection)

            transact(self._parts.engine, work)
        self._pending = _Pending()

    def _forget_earlier_attempts(self) -> None:
        """Take back the dead letters that an attempt wrote before it ended: this one may come to others."""
        if self._held.attempts > 1:

            def work(connection: Connection) -> None:
                self._fence(ledger.holds(connection, self._held))
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
            self._fence(ledger.finish(connection, self._held, outcome))
            self._save_pending(connection)
            if last is not None:
                last(connection)

        transact(self._parts.engine, work)

    def _fence(self, holds: bool) -> None:  # noqa: FBT001 - the condition is the whole point
        if not holds:
            message = f"the lease of shard {self._held.shard_id} is lost"
            raise LeaseLostError(message)

    # --- merge

    def _merge(self) -> None:
        settings = self._parts.settings
        if self._held.failures >= settings.max_failures or self._held.losses >= settings.max_losses:
            self._give_up_job()
            return
        merging = as_merging(self._operation)
        if merging is None:
            message = f"job {self._job.id} has a merge, but {self._operation.name} has none"
            raise TypeError(message)
        work = self._shard_work(None, self._held.partition)
        save = merging.merge(work, self._job.generation_id, self._parts.workplace)
        self._heartbeat.check()
        self._finish(Outcome(0, 0, 0, 0), save)

    def _give_up_job(self) -> None:
        reason = f"summing partition {self._held.partition} failed {self._held.failures} times; see `hanmill status`"
        state = JobState.FAILED
        transact(
            self._parts.engine,
            lambda connection: job_ledger.cancel(connection, self._held.job_id, state, reason=reason),
        )

    # --- trouble

    def _plan_again(self) -> None:
        source = ShardInput(self._parts.engine, self._held.pieces or {})
        try:
            for source_id, size, stamp in source.changed_sources():
                restamp_source(self._parts.engine, source_id, size, stamp)
        except TransientError as error:
            self._write(ledger.defer, str(error), _delay_s(self._held.deferrals))
            return
        # The lease is given back first: a shard whose sources are as they were after all stays and runs again.
        self._write(ledger.defer, "a source changed", _delay_s(0))
        with reading(self._parts.engine) as connection:
            if job_ledger.is_being_planned(connection, self._held.job_id):
                # Many workers notice a change at once; if that planner came too early, one of them notices again.
                return
        plan_job(self._parts.engine, self._held.job_id, self._parts.settings.plan_sizes)

    def _halve_or_bury(self) -> None:
        source = ShardInput(self._parts.engine, self._held.pieces or {}, self._parts.settings.readable_roots)
        settings = self._parts.settings
        # Where even looking for the middle fails, or kills, the piece is given up unread.
        unread = (
            self._held.failures >= 2 * settings.max_failures
            or self._held.losses >= 2 * settings.max_losses
            or self._held.deferrals >= settings.max_deferrals
        )
        halves = source.halves(unread=unread)
        if halves:
            transact(self._parts.engine, lambda connection: ledger.split(connection, self._held, halves))
            return
        killed = self._held.failures < self._parts.settings.max_failures
        reason = "killed" if killed else "failed"
        detail = f"its worker died {self._held.losses} times" if killed else (self._held.error or "no reason is known")
        self._bury(source.as_letters(reason, detail, unread=unread))

    def _bury(self, letters: Sequence[DeadLetter]) -> None:
        def work(connection: Connection) -> None:
            self._fence(ledger.bury(connection, self._held, len(letters)))
            dead_letters.save(connection, self._held, letters)

        transact(self._parts.engine, work)


def _delay_s(tries: int) -> float:
    """Return a pause in seconds that doubles with every try, with jitter."""
    return min(MAX_DELAY_S, 2.0**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
