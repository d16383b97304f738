"""How a shard ends when it does not end well: deferred, failed, planned anew, halved, buried. Computes nothing."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence

from billiard.exceptions import SoftTimeLimitExceeded

from storage import dead_letters, job_ledger, ledger
from storage.corpora import restamp_source
from storage.dead_letters import DeadLetter
from storage.engine import Connection, reading, transact
from storage.errors import HanmillError, LeaseLostError, SourceChangedError, TransientError, UsageError
from storage.ledger import Lease
from storage.planning import plan_job
from storage.shard_input import ShardInput
from storage.shard_names import place_of
from storage.states import JobState
from workers.attempt_end import AttemptEnd
from workers.bootstrap import Parts
from workers.log_context import fields_of_lease

logger = logging.getLogger(__name__)

#: Longest pause between two tries of a shard, in seconds.
MAX_DELAY_S = 60.0
#: How often a shard can fail in one batch with others: from then on it is computed alone.
FAILURES_IN_COMPANY = 1
#: Pause before an end that the database did not take is written again, in seconds.
END_RETRY_S = 0.5


class ShardEnds:
    """The ends of one attempt."""

    def __init__(self, parts: Parts, held: Lease, *, with_company: bool = False) -> None:
        """`with_company`: the shard may have been computed in one batch with others, and ended by what was theirs."""
        self._parts = parts
        self._held = held
        settings = parts.settings
        # What it is given up for are tries alone: a document must not die of its company's death.
        self._max_failures = settings.max_failures + (FAILURES_IN_COMPANY if with_company else 0)
        self._max_losses = settings.max_losses + (ledger.LOSSES_IN_COMPANY if with_company else 0)
        #: How the attempt ended, for whoever watches; done unless something else happened to it.
        self.end = AttemptEnd(held, "done")

    def is_exhausted(self) -> bool:
        """Say whether the shard failed, or lost its worker, too often to be tried again as it is."""
        return self._held.failures >= self._max_failures or self._held.losses >= self._max_losses

    def is_suspect(self) -> bool:
        """Say whether the shard is to be halved, or to be given up, before it is tried again.

        One is halved at its first failure when it is half of another already: what made that one fail is in it, and is
        found in as many tries as there are halvings. How often a single document is tried does not change.
        """
        return self.is_exhausted() or (self._held.is_half and self._held.failures + self._held.losses > 0)

    def end_by(self, error: Exception) -> None:
        """End the attempt as its error demands."""
        fields = fields_of_lease(self._held)
        if isinstance(error, MemoryError):
            # Its traceback keeps all that was in memory, and to write the end down takes some.
            error.with_traceback(None)
        match error:
            case LeaseLostError():
                self.lost()
                logger.warning("shard.lease_lost", extra=fields)
            case SourceChangedError():
                logger.info("shard.source_changed", extra={**fields, "error": str(error)})
                self._plan_again()
            case TransientError() | UsageError():
                # A usage error here is this worker's set-up (its input roots, say): no fault of the shard's.
                logger.warning("shard.deferred", extra={**fields, "error": str(error)})
                self.defer(str(error))
            case _:
                # MemoryError too: let out, it would end Celery's main process.
                text = str(error) if isinstance(error, HanmillError) else self._words(error)
                trace = error if logger.isEnabledFor(logging.DEBUG) else None
                logger.warning("shard.failed", extra={**fields, "error": text}, exc_info=trace)
                if self._write(ledger.fail, text, _delay_s(self._held.failures)):
                    self.end = AttemptEnd(self._held, "failed", self._with_place(text))

    def _words(self, error: Exception) -> str:
        """Return an error's name and what it says; what says nothing by itself is explained."""
        match error:
            case MemoryError():
                explained = "its process may have no more memory (HANMILL_PROCESS_MEMORY_BYTES)"
            case SoftTimeLimitExceeded():
                limit_s = self._parts.settings.soft_time_limit_s
                explained = f"it ran for longer than {limit_s:,.0f} s (HANMILL_SOFT_TIME_LIMIT_S)"
            case _:
                explained = ""
        said = str(error) if not isinstance(error, SoftTimeLimitExceeded) else ""
        return f"{type(error).__name__}: {'; '.join(part for part in (explained, said) if part)}"

    def defer(self, reason: str) -> None:
        """Try the shard again later: the world was not ready."""
        if self._write(ledger.defer, reason, _delay_s(self._held.deferrals)):
            self.end = AttemptEnd(self._held, "deferred", reason)

    def lost(self) -> None:
        """Say that somebody else has the shard now."""
        self.end = AttemptEnd(self._held, "lost")

    def _write(self, transition: Callable[[Connection, Lease, str, float], bool], error: str, delay_s: float) -> bool:
        held = self._write_patiently(lambda connection: transition(connection, self._held, error, delay_s))
        if not held:
            self.lost()
        return held

    def _write_patiently(self, work: Callable[[Connection], bool]) -> bool:
        # A lease that lapses counts as a worker lost, and after some of those the shard is taken for a killer. So while
        # the database is away, or has no room, the end is tried for as long as a lease lasts.
        deadline = time.monotonic() + self._parts.settings.lease_s
        while True:
            try:
                return transact(self._parts.engine, work)
            except TransientError:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(END_RETRY_S)

    def _with_place(self, text: str) -> str:
        try:
            with reading(self._parts.engine) as connection:
                place = place_of(connection, self._held.pieces)
        except TransientError:
            # The end is written; where it was is for people, and the database has gone away just now.
            return text
        return f"{text} ({place})" if place else text

    def give_up_job(self, reason: str) -> None:
        """End the whole job as failed."""
        state = JobState.FAILED
        transact(
            self._parts.engine,
            lambda connection: job_ledger.cancel(connection, self._held.job_id, state, reason=reason),
        )
        self.end = AttemptEnd(self._held, "failed", f"the job failed: {reason}")

    def _plan_again(self) -> None:
        source = ShardInput(self._parts.engine, self._held.pieces or {})
        try:
            for source_id, size, stamp in source.changed_sources():
                restamp_source(self._parts.engine, source_id, size, stamp)
        except TransientError as error:
            self.defer(str(error))
            return
        # The lease is given back first: a shard whose sources are as they were after all stays and runs again.
        if self._write(ledger.defer, "a source changed", _delay_s(0)):
            self.end = AttemptEnd(self._held, "deferred", "a source changed, and is planned anew")
        with reading(self._parts.engine) as connection:
            if job_ledger.is_being_planned(connection, self._held.job_id):
                # Many workers notice a change at once; if that planner came too early, one of them notices again.
                return
        plan_job(self._parts.engine, self._held.job_id, self._parts.settings.plan_sizes)

    def halve_or_bury(self) -> bool:
        """Put two halves in the shard's place; a single record becomes a dead letter.

        False when it is a single record that has tries left: nothing was done.
        """
        settings = self._parts.settings
        source = ShardInput(self._parts.engine, self._held.pieces or {}, settings.readable_roots)
        # Where even looking for the middle fails, or kills, the piece is given up unread.
        unread = (
            self._held.failures >= 2 * self._max_failures
            or self._held.losses >= 2 * self._max_losses
            or self._held.deferrals >= settings.max_deferrals
        )
        halves = source.halves(unread=unread)
        if halves:
            split = transact(self._parts.engine, lambda connection: ledger.split(connection, self._held, halves))
            self.end = AttemptEnd(self._held, "split" if split else "lost")
            return True
        if not self.is_exhausted():
            return False
        killed = self._held.failures < self._max_failures
        reason = "killed" if killed else "failed"
        detail = self._held.error or "no reason is known"
        if killed:
            detail = f"its worker died {self._held.losses} times; the last time: {detail}"
        self._bury(source.as_letters(reason, detail, unread=unread))
        return True

    def _bury(self, letters: Sequence[DeadLetter]) -> None:
        def work(connection: Connection) -> None:
            fence(self._held, holds=ledger.bury(connection, self._held, len(letters)))
            dead_letters.save(connection, self._held, letters)

        transact(self._parts.engine, work)
        self.end = AttemptEnd(self._held, "dead", _described(letters))


def fence(held: Lease, *, holds: bool) -> None:
    """Raise `LeaseLostError`, which undoes the transaction, unless the attempt still holds its shard."""
    if not holds:
        message = f"the lease of shard {held.shard_id} is lost"
        raise LeaseLostError(message)


def _described(letters: Sequence[DeadLetter]) -> str:
    """Return `news.jsonl, line 14, key a1: ValueError: …`, the first of some dead letters."""
    if not letters:
        return ""
    first = letters[0]
    line = f", line {first.line}" if first.line is not None else ""
    # Where no field names the document, its key is its place over again.
    key = f", key {first.key}" if first.key is not None and not first.key.startswith(first.source) else ""
    more = f"; and {len(letters) - 1:,} more" if len(letters) > 1 else ""
    return f"{first.source}{line}{key}: {first.detail}{more}"


def _delay_s(tries: int) -> float:
    """Return a pause in seconds that doubles with every try, with jitter."""
    return min(MAX_DELAY_S, 2.0**tries) * random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it
