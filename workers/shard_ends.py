"""How a shard ends when it does not end well: deferred, failed, planned anew, halved, buried. Computes nothing."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence

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


class ShardEnds:
    """The ends of one attempt."""

    def __init__(self, parts: Parts, held: Lease) -> None:
        self._parts = parts
        self._held = held
        #: How the attempt ended, for whoever watches; done unless something else happened to it.
        self.end = AttemptEnd(held, "done")

    def is_exhausted(self) -> bool:
        """Say whether the shard failed, or lost its worker, too often to be tried again as it is."""
        settings = self._parts.settings
        return self._held.failures >= settings.max_failures or self._held.losses >= settings.max_losses

    def end_by(self, error: Exception) -> None:
        """End the attempt as its error demands."""
        fields = fields_of_lease(self._held)
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
                text = str(error) if isinstance(error, HanmillError) else f"{type(error).__name__}: {error}"
                trace = error if logger.isEnabledFor(logging.DEBUG) else None
                logger.warning("shard.failed", extra={**fields, "error": text}, exc_info=trace)
                if self._write(ledger.fail, text, _delay_s(self._held.failures)):
                    self.end = AttemptEnd(self._held, "failed", self._with_place(text))

    def defer(self, reason: str) -> None:
        """Try the shard again later: the world was not ready."""
        if self._write(ledger.defer, reason, _delay_s(self._held.deferrals)):
            self.end = AttemptEnd(self._held, "deferred", reason)

    def lost(self) -> None:
        """Say that somebody else has the shard now."""
        self.end = AttemptEnd(self._held, "lost")

    def _write(self, transition: Callable[[Connection, Lease, str, float], bool], error: str, delay_s: float) -> bool:
        held = transact(self._parts.engine, lambda connection: transition(connection, self._held, error, delay_s))
        if not held:
            self.lost()
        return held

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

    def halve_or_bury(self) -> None:
        """Put two halves in the shard's place; a single record becomes a dead letter."""
        settings = self._parts.settings
        source = ShardInput(self._parts.engine, self._held.pieces or {}, settings.readable_roots)
        # Where even looking for the middle fails, or kills, the piece is given up unread.
        unread = (
            self._held.failures >= 2 * settings.max_failures
            or self._held.losses >= 2 * settings.max_losses
            or self._held.deferrals >= settings.max_deferrals
        )
        halves = source.halves(unread=unread)
        if halves:
            split = transact(self._parts.engine, lambda connection: ledger.split(connection, self._held, halves))
            self.end = AttemptEnd(self._held, "split" if split else "lost")
            return
        killed = self._held.failures < settings.max_failures
        reason = "killed" if killed else "failed"
        detail = f"its worker died {self._held.losses} times" if killed else (self._held.error or "no reason is known")
        self._bury(source.as_letters(reason, detail, unread=unread))

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
