"""The states of a job, of a shard and of a schedule's run, one sentence each.

The transitions stand in `job_ledger.py`, `ledger.py` and `schedule_runs.py`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands."""

    #: Its shards are being made; what is made may run already.
    PLANNING = "PLANNING"
    #: Shards run.
    RUNNING = "RUNNING"
    #: Every shard is done and its partial counts are being summed.
    MERGING = "MERGING"
    #: What is leased may finish, nothing new is leased.
    PAUSED = "PAUSED"
    #: All results stand in SQL.
    DONE = "DONE"
    #: All results stand in SQL but for the dead letters.
    DONE_WITH_DEAD = "DONE_WITH_DEAD"
    #: A user ended it; nothing of it commits any more.
    CANCELLED = "CANCELLED"
    #: It cannot end by itself; `reason` says why.
    FAILED = "FAILED"
    #: Its time was up; the next run selects what is left.
    STOPPED = "STOPPED"


class ShardState(StrEnum):
    """Where a shard stands."""

    #: Waits to be put in the queue, not before `not_before`.
    PENDING = "PENDING"
    #: A message for it should stand in the queue.
    QUEUED = "QUEUED"
    #: A worker holds it until `lease_until`.
    LEASED = "LEASED"
    #: Its result is in SQL.
    DONE = "DONE"
    #: It failed too often and two halves run in its place; it counts in no sum.
    SPLIT = "SPLIT"
    #: One document, failed too often alone; a dead letter says why.
    DEAD = "DEAD"


class RunState(StrEnum):
    """Where a run of a schedule stands."""

    #: The run before it still goes on; it begins when that has ended.
    WAITING = "WAITING"
    #: It is being started, or its jobs run.
    RUNNING = "RUNNING"
    #: All results stand in SQL.
    DONE = "DONE"
    #: All results stand in SQL but for the dead letters.
    DONE_WITH_DEAD = "DONE_WITH_DEAD"
    #: Its time was up, or its limit reached; the next run selects what is left.
    STOPPED = "STOPPED"
    #: A user cancelled one of its jobs.
    CANCELLED = "CANCELLED"
    #: It could not be started, or one of its jobs failed.
    FAILED = "FAILED"
    #: The run before it was still going on.
    SKIPPED = "SKIPPED"
    #: Nobody was there to start it in time, or a later run took its place.
    MISSED = "MISSED"


JOB_STATES = tuple(JobState)
SHARD_STATES = tuple(ShardState)
RUN_STATES = tuple(RunState)
#: A job in one of these ends without anybody's doing, or waits for `resume`.
OPEN_JOB_STATES = (JobState.PLANNING, JobState.RUNNING, JobState.MERGING, JobState.PAUSED)
#: New shards of a job are leased in these states only.
ACTIVE_JOB_STATES = (JobState.PLANNING, JobState.RUNNING, JobState.MERGING)
COMPLETE_JOB_STATES = (JobState.DONE, JobState.DONE_WITH_DEAD)
#: A shard in one of these still has to run.
UNFINISHED_SHARD_STATES = (ShardState.PENDING, ShardState.QUEUED, ShardState.LEASED)


def one_of(column: str, values: Iterable[str]) -> str:
    """Return the SQL condition that a column holds one of some constants."""
    return f"{column} IN ({', '.join(repr(str(value)) for value in values)})"
