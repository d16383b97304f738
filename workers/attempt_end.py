"""How attempts at shards ended, and how that looks to whoever watches Celery's tasks (Flower, its events, its log).

Decides nothing: the ledger has it all, whatever is shown here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from celery.exceptions import Retry

from storage.ledger import Lease
from workers.settings import mask

#: Shards named in one sentence; a batch of a model may have a thousand.
SHOWN_SHARDS = 5
#: Longest reason shown, in characters: it travels in an event.
REASON_CHARS = 600
#: What the task of a shard returns that there was nothing to do for.
NOT_DUE = "nothing to do: the shard is not due any more"


class AttemptFailedError(Exception):
    """An attempt at a shard failed, or set documents aside. Nobody need do anything: the ledger tries again."""


class AttemptDeferredError(Exception):
    """The world was not ready for a shard. The ledger lets it run again, by a message of its own."""


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """One attempt, and what became of it in the words of the ledger."""

    held: Lease
    outcome: Literal["done", "failed", "deferred", "split", "dead", "lost"]
    reason: str = ""

    def __str__(self) -> str:
        """`attempt 2 failed: ValueError: … (news.jsonl, 4,096 bytes from byte 0)`."""
        sentence = f"attempt {self.held.attempts} {_WORDS[self.outcome]}"
        return f"{sentence}: {mask(self.reason)[:REASON_CHARS]}" if self.reason else sentence


_WORDS = {
    "done": "done",
    "failed": "failed",
    "deferred": "deferred",
    "split": "halved the shard, which had failed too often",
    "dead": "set aside as dead letter",
    "lost": "lost its lease; the shard is somebody else's",
}


def show(ends: Sequence[AttemptEnd]) -> str:
    """Return what the Celery task shows as its result.

    Raises `AttemptFailedError` where an attempt failed, and Celery's `Retry` where one was deferred: the task is then
    shown as FAILURE or RETRY with the reason. Neither makes Celery send anything again.
    """
    failed = [end for end in ends if end.outcome in {"failed", "dead"}]
    if failed:
        raise AttemptFailedError(_sentence(failed, len(ends)))
    deferred = [end for end in ends if end.outcome == "deferred"]
    if deferred:
        reason = _sentence(deferred, len(ends))
        raise Retry(reason, AttemptDeferredError(reason))
    return _sentence(ends[:1], len(ends)) if ends else NOT_DUE


def _sentence(ends: Sequence[AttemptEnd], of: int) -> str:
    """Return `attempt 1 done`, or what became of some shards that were computed together."""
    if of == 1:
        return str(ends[0])
    if all(end.outcome == "done" for end in ends):
        return f"{ends[0]}, with {of - 1:,} more shards"
    shown = "; ".join(f"shard {end.held.shard_id} of job {end.held.job_id}: {end}" for end in ends[:SHOWN_SHARDS])
    more = f"; and {len(ends) - SHOWN_SHARDS:,} more" if len(ends) > SHOWN_SHARDS else ""
    return f"{len(ends):,} of {of:,} shards: {shown}{more}"
