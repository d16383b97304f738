"""A pass over the schedules: fires what is due, has it started, ends what has ended, and stops what reached its limit.

Part of every pass of the reconciler; any number of passes at once do no harm. Starts nothing itself: that may take
minutes and is a message of its own.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Protocol, runtime_checkable

from storage import fault_points, job_ledger, schedule_runs
from storage.engine import Engine, reading, transact
from storage.errors import HanmillError, TransientError

logger = logging.getLogger(__name__)


@runtime_checkable
class StartSender(Protocol):
    """Sends the message that a run of a schedule is to be started."""

    def publish_start(self, run_id: int) -> None:
        """Publish it; raises `TransientError` when the broker is away."""
        ...


def tend_schedules(engine: Engine, sender: object) -> None:
    """Do one pass; where the sender can send no starts, a later pass of somebody else's does."""
    for spent in transact(engine, job_ledger.stop_spent):
        logger.info("job.stopped", extra={"job": spent.job_id, "reason": spent.reason})
    fire_due(engine)
    transact(engine, schedule_runs.end_runs)
    transact(engine, schedule_runs.end_hopeless)
    transact(engine, schedule_runs.let_waiting_go)
    if isinstance(sender, StartSender):
        _send(engine, sender)


def fire_due(engine: Engine) -> list[int]:
    """Fire every schedule that is due; return the runs that this caller, and nobody else, fired."""
    with reading(engine) as connection:
        due = schedule_runs.due_schedules(connection)
    fired = []
    for schedule_id in due:
        try:
            run_id = transact(engine, partial(schedule_runs.fire, schedule_id=schedule_id))
        except HanmillError as error:
            # One schedule that cannot be (its time zone is unknown on this machine) must not hold the others up.
            logger.warning("schedule.not_fired", extra={"schedule": schedule_id, "error": str(error)})
            continue
        if run_id is not None:
            fired.append(run_id)
            fault_points.reach("schedule.fired")
            logger.info("schedule.fired", extra={"schedule": schedule_id, "run": run_id})
    return fired


def _send(engine: Engine, sender: StartSender) -> None:
    with reading(engine) as connection:
        waiting = schedule_runs.runs_to_start(connection)
    for run_id in waiting:
        try:
            sender.publish_start(run_id)
        except TransientError as error:
            logger.warning("schedule.start_not_sent", extra={"run": run_id, "error": str(error)})
            return
