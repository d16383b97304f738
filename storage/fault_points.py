"""Named moments at which a test can have a process die, stand still, fail or wait. Does nothing without a plan.

A plan is a JSON file: a list of faults, each `{"point", "action", "at", "times", "error", "wait_s", "only"}` of which
`point` and `action` must be there. It is read anew when the file changes, so that processes which run already can be
given one. Every fault that fires is written down beside the plan before it does its work, by a file that only one
process can make: whoever wants to know whether it fired looks for that.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from storage.errors import StorageError, TransientError, UsageError

#: Every point by its name, and the moment that it is. A test holds them to the calls of `reach` in the code.
POINTS = {
    "batch.computed": "a model has computed a pool, and nothing of it is written",
    "batch.leased": "a model worker holds its shards, and has read nothing yet",
    "batch.uncommitted": "the results of a pool and its shards' ends are written, the transaction is open",
    "batch.written": "the results of a pool are committed, the message is not acknowledged",
    "dispatch.published": "messages for queued shards are in the broker",
    "dispatch.queued": "shards are QUEUED, and their messages not yet published",
    "generation.uncommitted": "a new generation is shown to readers, the transaction is open",
    "ingest.committed": "enqueued documents and their shards are committed, nothing is dispatched",
    "ingest.uncommitted": "enqueued documents and their shards are written, the transaction is open",
    "job.ended": "a job has ended or begun to merge, and nothing is dispatched after it",
    "lease.uncommitted": "an attempt is counted, the transaction is open",
    "merge.computed": "a partition is summed, and nothing of it is written",
    "partition.deleted": "a partition's old rows are deleted, the new ones not yet written, the transaction is open",
    "plan.added": "some shards of a plan are committed, the job is not sealed",
    "plan.sealing": "every shard of a plan is there, the job's seal is not",
    "plan.started": "a job has a planner, and nothing is planned",
    "reconcile.epoch": "the queue has a new epoch, and the ledger does not know it",
    "reconcile.freed": "lapsed leases are freed, and nothing is dispatched",
    "schedule.fired": "a run of a schedule is written, and nobody was told to start it",
    "schedule.planned": "the jobs of a run are made and planned, and the run is not marked as started",
    "schedule.claimed": "a process may start a run, and has begun nothing",
    "shard.begun": "an attempt holds its shard and is about to read it",
    "shard.committed": "a shard's results and its end are committed",
    "shard.computed": "a shard is computed, and nothing of its end is written",
    "shard.done_unwritten": "a shard is marked DONE and its results are not yet written, the transaction is open",
    "shard.leased": "a lease is committed, and nobody renews it yet",
    "shard.unacknowledged": "a shard has ended and the next one is dispatched, the message is not acknowledged",
    "shard.uncommitted": "a shard's results and its end are written, the transaction is open",
    "shard.unleased": "a message has come, and nothing is leased",
    "split.uncommitted": "a shard is marked SPLIT and its halves are there, the transaction is open",
    "submit.made": "a job is made, and nobody plans it",
    "submit.refreshed": "the sources of an order are in its corpus, and no job is made",
}
#: What a fault can do to the process that reaches its point.
ACTIONS = ("kill", "stop", "raise", "wait")


class _Serialization(Exception):  # noqa: N818 - it plays the driver's error
    """What a driver says when PostgreSQL could not serialize a transaction."""

    sqlstate = "40001"


def _not_serializable(text: str) -> Exception:
    return OperationalError(text, None, _Serialization(text))


#: The errors that a fault can raise.
ERRORS: dict[str, Callable[[str], Exception]] = {
    "bug": RuntimeError,
    "memory": MemoryError,
    "refused": StorageError,
    "serialization": _not_serializable,
    "transient": TransientError,
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What is to happen at a point."""

    point: str
    #: kill (SIGKILL to itself), stop (SIGSTOP to itself), raise, or wait.
    action: str
    #: At which of the times that one process comes by.
    at: int = 1
    #: How often, over all processes.
    times: int = 1
    #: For `raise`: the name of an error in `ERRORS`.
    error: str = "bug"
    #: For `wait`: seconds.
    wait_s: float = 0.0
    #: Only in processes whose command line has this in it; empty: in any.
    only: str = ""


class FaultPlan:
    """The faults of one plan as this process meets them."""

    def __init__(self, path: Path) -> None:
        """Take a plan's path; the file may come later."""
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._faults: list[Fault] = []
        self._reached: Counter[str] = Counter()

    def reach(self, point: str) -> None:
        """Let every fault that is due at this point happen."""
        self._look()
        if not self._faults:
            return
        self._reached[point] += 1
        for number, fault in enumerate(self._faults):
            is_here = fault.point == point and self._reached[point] >= fault.at
            if is_here and fault.only in _command_line() and self._claim(number, fault):
                _act(fault)

    def _look(self) -> None:
        try:
            status = self._path.stat()
        except FileNotFoundError:
            self._stamp, self._faults = None, []
            return
        stamp = (status.st_mtime_ns, status.st_ino)
        if stamp != self._stamp:
            self._stamp, self._faults = stamp, read_plan(self._path)
            self._reached.clear()

    def _claim(self, number: int, fault: Fault) -> bool:
        for time_number in range(fault.times):
            path = fired_path(self._path, number, time_number)
            try:
                descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            except FileExistsError:
                continue
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                # The wall clock: how long a recovery took is measured from here, by a process of this machine.
                json.dump({"point": fault.point, "pid": os.getpid(), "fired_at": time.time()}, file)
            return True
        return False


def fired_path(plan: Path, number: int, time_number: int = 0) -> Path:
    """Return the file that proves that a plan's fault (by its number, from 0) fired for the n-th time."""
    return plan.with_name(f"{plan.name}.{number}.{time_number}.fired")


def read_plan(path: Path) -> list[Fault]:
    """Return the faults of a plan; raises `UsageError` that says what is wrong with it."""
    try:
        rows: Any = json.loads(path.read_text(encoding="utf-8"))
        faults = [Fault(**row) for row in rows]
    except (OSError, ValueError, TypeError) as error:
        message = f"{path} (HANMILL_FAULT_PLAN) is no plan of faults: {error}"
        raise UsageError(message) from error
    for fault in faults:
        if fault.point not in POINTS or fault.action not in ACTIONS or fault.error not in ERRORS:
            message = f"{path} (HANMILL_FAULT_PLAN) names a point, an action or an error that there is not: {fault}"
            raise UsageError(message)
    return faults


def _command_line() -> str:
    return Path("/proc/self/cmdline").read_text(encoding="utf-8", errors="replace").replace("\0", " ")


def _act(fault: Fault) -> None:
    match fault.action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case "wait":
            time.sleep(fault.wait_s)
        case _:
            message = f"the plan of faults raises this at {fault.point}"
            raise ERRORS[fault.error](message)


_plan: FaultPlan | None = None


def arm(path: str) -> None:
    """Put the plan at a path into force in this process; an empty path: none."""
    global _plan  # noqa: PLW0603 - of the process, as the signals are
    _plan = FaultPlan(Path(path)) if path else None


def reach(point: str) -> None:
    """Say that a named moment has come."""
    if _plan is not None:
        _plan.reach(point)
