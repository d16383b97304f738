"""The runs of schedules: fired once for each time one is due, started by one process at a time, and ended.

Every transition is a conditional UPDATE by the database's clock, and `UNIQUE(schedule_id, fire_time)` gives a run to
whoever inserts it first: any number of callers at any time do no harm. Makes no jobs; `workers/schedule_start.py` does.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, exists, or_, select, update
from sqlalchemy.sql import func

from storage.cron_times import due_between, in_zone, next_after, next_clock_time
from storage.engine import AnyRow, insert_new, now
from storage.errors import UsageError
from storage.job_limits import limit_job
from storage.schema import jobs, schedule_jobs, schedule_runs, schedules
from storage.states import OPEN_JOB_STATES, JobState, RunState

#: Seconds after which a starter that gave no sign is taken for dead.
STARTER_SILENCE_S = 60.0
#: Seconds until the start of a run is tried again after the world was not ready: half as long as it waits already,
#: within these bounds.
START_AGAIN_S, LONGEST_START_AGAIN_S = 2.0, 30.0
#: Processes that may die starting one run, before it is taken to be what kills them.
MAX_STARTS = 5
#: Missed times of one schedule that are written down at once; a line for every minute of a month says nothing more.
MISSED_ROWS = 100
#: Times looked at in one go.
TIMES_AT_ONCE = 100_000

_GOES_ON = (RunState.WAITING, RunState.RUNNING)
#: Of a run's jobs the worst decides; `case` takes the first that is there.
_WORST = (
    (JobState.FAILED, RunState.FAILED),
    (JobState.CANCELLED, RunState.CANCELLED),
    (JobState.STOPPED, RunState.STOPPED),
    (JobState.DONE_WITH_DEAD, RunState.DONE_WITH_DEAD),
)


@dataclass(frozen=True, slots=True)
class StartLease:
    """The right to start a run; without its token nothing of the start is written."""

    run_id: int
    token: str


# --- firing


def due_schedules(connection: Connection) -> list[int]:
    """Return the schedules that have something due."""
    due = select(schedules.c.id).where(schedules.c.paused.is_(False), schedules.c.next_at <= now())
    return list(connection.scalars(due.order_by(schedules.c.next_at, schedules.c.id)))


def fire(connection: Connection, schedule_id: int) -> int | None:
    """Write down every time at which a schedule was due until now, and begin at most one run, the newest in its grace.

    Returns the run that is to be started; None when there is none, or when somebody else has it.
    """
    # The row is locked by this: of two that come together, the second finds nothing due any more.
    due = (schedules.c.id == schedule_id, schedules.c.paused.is_(False), schedules.c.next_at <= now())
    locked = update(schedules).where(*due).values(next_at=schedules.c.next_at).returning(*schedules.c)
    schedule = connection.execute(locked).one_or_none()
    if schedule is None:
        return None
    moment = float(connection.scalar(select(now())) or 0.0)
    newest = _write_missed(connection, schedule, moment)
    next_at = next_after(schedule.cron, schedule.timezone, moment)
    connection.execute(update(schedules).where(schedules.c.id == schedule_id).values(next_at=next_at))
    return _fire_at(connection, schedule, newest, moment) if newest is not None else None


def _write_missed(connection: Connection, schedule: AnyRow, moment: float) -> float | None:
    """Write down what is too late, and return the one time that is not, if any."""
    cron = (schedule.cron, schedule.timezone)
    grace_from = moment - schedule.grace_s
    late = due_between(*cron, schedule.next_at, min(grace_from, moment), MISSED_ROWS)
    within = due_between(*cron, max(schedule.next_at, grace_from), moment, TIMES_AT_ONCE)
    newest = within[-1] if within else None
    reasons = [(one, f"nobody was there to start it within its grace of {schedule.grace_s:,.0f} s") for one in late]
    if newest is not None:
        caught_up = f"the run of {in_zone(newest, schedule.timezone)} took its place"
        reasons += [(one, caught_up) for one in within[:-1][-MISSED_ROWS:]]
    rows = [
        _row(schedule, one, moment, state=RunState.MISSED, detail=detail) for one, detail in reasons if one != newest
    ]
    insert_new(connection, schedule_runs, rows)
    return newest


def _row(schedule: AnyRow, fire_time: float, moment: float, **values: Any) -> dict[str, Any]:
    return {
        "schedule_id": schedule.id,
        "name": schedule.name,
        "fire_time": fire_time,
        "timezone": schedule.timezone,
        "trigger": "cron",
        "created_at": moment,
        "stop_at": stop_at(schedule, fire_time),
        **values,
    }


def stop_at(schedule: AnyRow, fire_time: float) -> float | None:
    """Return when what is left of a run is to be stopped: the first `finish_by` after it was due."""
    if schedule.finish_by is None:
        return None
    return next_clock_time(schedule.finish_by, schedule.timezone, fire_time)


def _fire_at(connection: Connection, schedule: AnyRow, fire_time: float, moment: float) -> int | None:
    state, detail = _first_state(connection, schedule, fire_time, moment)
    row = _row(schedule, fire_time, moment, state=state, detail=detail)
    if state == RunState.RUNNING:
        return _insert(connection, row)
    insert_new(connection, schedule_runs, [row])
    return None


def _insert(connection: Connection, row: dict[str, Any]) -> int | None:
    """Insert a run; None when it is there already, and somebody else's."""
    token = secrets.token_hex(16)
    insert_new(connection, schedule_runs, [{**row, "starter": token, "starter_until": 0.0}])
    # Whose insert it was is told by the token: in a conflict nothing is inserted.
    mine = select(schedule_runs.c.id).where(
        schedule_runs.c.schedule_id == row["schedule_id"],
        schedule_runs.c.fire_time == row["fire_time"],
        schedule_runs.c.starter == token,
    )
    found: int | None = connection.scalar(mine)
    return found


def _first_state(
    connection: Connection, schedule: AnyRow, fire_time: float, moment: float
) -> tuple[RunState, str | None]:
    """Return the state in which a run that is due begins, and why."""
    until = stop_at(schedule, fire_time)
    if until is not None and until <= moment:
        return RunState.MISSED, f"nobody was there to start it before {in_zone(until, schedule.timezone)}"
    running = _going_on(connection, schedule.id)
    if not running:
        return RunState.RUNNING, None
    text = f"the run of {in_zone(running[0].fire_time, schedule.timezone)} still went on"
    if schedule.overlap == "skip":
        return RunState.SKIPPED, text
    if any(run.state == RunState.WAITING for run in running):
        return RunState.SKIPPED, f"{text}, and one more waits already"
    return RunState.WAITING, text


def _going_on(connection: Connection, schedule_id: int) -> Sequence[AnyRow]:
    statement = select(schedule_runs).where(
        schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.state.in_(_GOES_ON)
    )
    return connection.execute(statement.order_by(schedule_runs.c.fire_time)).all()


def fire_now(connection: Connection, schedule: AnyRow) -> int:
    """Write a run that somebody asked for by hand; raises `UsageError` while another one goes on."""
    # Two that ask at once are one after the other.
    connection.execute(update(schedules).where(schedules.c.id == schedule.id).values(name=schedules.c.name))
    running = _going_on(connection, schedule.id)
    if running:
        began = in_zone(running[0].fire_time, schedule.timezone)
        message = (
            f"the run of {began} still goes on; `hanmill schedule show {schedule.name}` names its jobs, "
            "wait for them or cancel them"
        )
        raise UsageError(message)
    moment = float(connection.scalar(select(now())) or 0.0)
    run_id = _insert(connection, {**_row(schedule, moment, moment, state=RunState.RUNNING), "trigger": "manual"})
    if run_id is None:
        message = f"somebody else ran {schedule.name} at this very moment"
        raise UsageError(message)
    return run_id


def let_waiting_go(connection: Connection) -> int:
    """Have what waits begin when the run before has ended, or be MISSED when its time is over; return how many."""
    other = schedule_runs.alias()
    goes_on = exists().where(other.c.schedule_id == schedule_runs.c.schedule_id, other.c.state == RunState.RUNNING)
    over = schedule_runs.c.stop_at <= now()
    statement = (
        update(schedule_runs)
        .where(schedule_runs.c.state == RunState.WAITING, or_(~goes_on, over))
        .values(
            state=case((over, RunState.MISSED), else_=RunState.RUNNING),
            detail=case((over, schedule_runs.c.detail), else_=None),
        )
    )
    return connection.execute(statement).rowcount


# --- starting


def runs_to_start(connection: Connection) -> list[int]:
    """Return the runs that nobody starts just now, the earliest first."""
    statement = select(schedule_runs.c.id).where(*_unstarted())
    return list(connection.scalars(statement.order_by(schedule_runs.c.fire_time, schedule_runs.c.id)))


def _unstarted() -> tuple[Any, ...]:
    runs = schedule_runs.c
    silent = or_(runs.starter_until.is_(None), runs.starter_until < now())
    return (runs.state == RunState.RUNNING, runs.started_at.is_(None), silent)


def claim(connection: Connection, run_id: int) -> StartLease | None:
    """Take the right to start a run; None when somebody has it, or when there is nothing to start any more."""
    token = secrets.token_hex(16)
    statement = (
        update(schedule_runs)
        .where(schedule_runs.c.id == run_id, *_unstarted())
        .values(starter=token, starter_until=now() + STARTER_SILENCE_S, starts=schedule_runs.c.starts + 1)
    )
    return StartLease(run_id, token) if connection.execute(statement).rowcount == 1 else None


def renew(connection: Connection, held: StartLease) -> bool:
    """Lock the run and say whether the starter still has it; it is alive from this moment on."""
    return _change(connection, held, starter_until=now() + STARTER_SILENCE_S)


def release(connection: Connection, held: StartLease, reason: str) -> bool:
    """Let the run be started again a little later: the world was not ready, and no process died of it."""
    half_waited_s = (now() - schedule_runs.c.created_at) / 2
    pause_s = case(
        (half_waited_s < START_AGAIN_S, START_AGAIN_S),
        (half_waited_s > LONGEST_START_AGAIN_S, LONGEST_START_AGAIN_S),
        else_=half_waited_s,
    )
    return _change(connection, held, starter_until=now() + pause_s, detail=reason, starts=schedule_runs.c.starts - 1)


def started(connection: Connection, held: StartLease) -> bool:
    """Say that all jobs of a run are there and planned."""
    return _change(connection, held, started_at=now(), starter=None, starter_until=None, detail=None)


def give_up(connection: Connection, held: StartLease, state: RunState, reason: str) -> bool:
    """End a run that cannot be started."""
    return _change(connection, held, state=state, detail=reason, finished_at=now(), starter=None, starter_until=None)


def _change(connection: Connection, held: StartLease, **values: Any) -> bool:
    statement = update(schedule_runs).where(
        schedule_runs.c.id == held.run_id,
        schedule_runs.c.starter == held.token,
        schedule_runs.c.state == RunState.RUNNING,
        schedule_runs.c.started_at.is_(None),
    )
    return connection.execute(statement.values(**values)).rowcount == 1


def add_job(connection: Connection, run: AnyRow, job_id: int, document_limit: int | None, *, joined: bool) -> None:
    """Note that a job is a run's; one that it made itself keeps to the run's limits."""
    insert_new(connection, schedule_jobs, [{"run_id": run.id, "job_id": job_id, "joined": joined}])
    if not joined:
        limit_job(connection, job_id, document_limit, run.stop_at, run.timezone)


# --- ending


def end_runs(connection: Connection) -> int:
    """End every run whose jobs have all ended, as the worst of them; return how many."""
    of_run = (schedule_jobs.c.run_id == schedule_runs.c.id, schedule_jobs.c.job_id == jobs.c.id)
    open_jobs = exists().where(*of_run, jobs.c.state.in_(OPEN_JOB_STATES))
    worst = case(
        *((exists().where(*of_run, jobs.c.state == of_job), of_run_state) for of_job, of_run_state in _WORST),
        else_=RunState.DONE,
    )
    # When the last of them ended, not when somebody noticed.
    ended = select(func.max(jobs.c.finished_at)).where(*of_run).correlate(schedule_runs).scalar_subquery()
    statement = (
        update(schedule_runs)
        .where(schedule_runs.c.state == RunState.RUNNING, schedule_runs.c.started_at.is_not(None), ~open_jobs)
        .values(state=worst, finished_at=func.coalesce(ended, now()))
        .returning(schedule_runs.c.id)
    )
    ended_ids = list(connection.scalars(statement))
    for run_id in ended_ids:
        detail = "; ".join(_reasons(connection, run_id)) or None
        connection.execute(update(schedule_runs).where(schedule_runs.c.id == run_id).values(detail=detail))
    return len(ended_ids)


def _reasons(connection: Connection, run_id: int) -> list[str]:
    statement = (
        select(jobs.c.id, jobs.c.reason)
        .join(schedule_jobs, schedule_jobs.c.job_id == jobs.c.id)
        .where(schedule_jobs.c.run_id == run_id, jobs.c.reason.is_not(None))
        .order_by(jobs.c.id)
    )
    return [f"job {row.id}: {row.reason}" for row in connection.execute(statement)]


def end_hopeless(connection: Connection) -> int:
    """End runs that can never be started: their schedule is gone, time is over, or too many died; return how many."""
    runs = schedule_runs.c
    over = runs.stop_at <= now()
    killing = runs.starts >= MAX_STARTS
    late = runs.created_at + func.coalesce(_grace(), 0.0) < now()
    gone = ~exists().where(schedules.c.id == runs.schedule_id)
    detail = case(
        (gone, "its schedule was removed before it began"),
        (
            over,
            "it could not begin before its time was up; " + func.coalesce(runs.detail, "nobody was there to start it"),
        ),
        (killing, f"{MAX_STARTS} processes that were to start it died, or took too long to say so"),
        else_="it could not begin within its grace: " + func.coalesce(runs.detail, "nobody was there to start it"),
    )
    statement = (
        update(schedule_runs)
        .where(*_unstarted(), or_(gone, over, killing, late))
        .values(
            state=case((gone, RunState.CANCELLED), (over, RunState.STOPPED), else_=RunState.FAILED),
            detail=detail,
            finished_at=now(),
        )
    )
    return connection.execute(statement).rowcount


def _grace() -> Any:
    # A grace of a minute is for the firing; what was fired has ten to get going.
    found = select(func.max(schedules.c.grace_s + 600.0)).where(schedules.c.id == schedule_runs.c.schedule_id)
    return found.correlate(schedule_runs).scalar_subquery()


# --- looking


def get(connection: Connection, run_id: int) -> AnyRow:
    """Return a run's row with its schedule's, whose columns begin with `of_`; raises `UsageError` when one is gone."""
    columns = [column.label(f"of_{column.name}") for column in schedules.c]
    statement = select(schedule_runs, *columns).join(schedules, schedules.c.id == schedule_runs.c.schedule_id)
    row = connection.execute(statement.where(schedule_runs.c.id == run_id)).one_or_none()
    if row is None:
        message = f"there is no run {run_id} any more, or its schedule was removed"
        raise UsageError(message)
    return row


def jobs_of(connection: Connection, run_id: int) -> list[AnyRow]:
    """Return a run's jobs (id, operation, fingerprint, state, sealed_at, joined) in the order in which it made them."""
    statement = (
        select(jobs.c.id, jobs.c.operation, jobs.c.fingerprint, jobs.c.state, jobs.c.sealed_at, schedule_jobs.c.joined)
        .join(schedule_jobs, schedule_jobs.c.job_id == jobs.c.id)
        .where(schedule_jobs.c.run_id == run_id)
    )
    return list(connection.execute(statement.order_by(jobs.c.id)))


def history(connection: Connection, name: str, most: int) -> list[AnyRow]:
    """Return the newest runs of a schedule, also of one that was removed, the newest first."""
    statement = select(schedule_runs).where(schedule_runs.c.name == name)
    return list(connection.execute(statement.order_by(schedule_runs.c.fire_time.desc()).limit(most)))


def last_of(connection: Connection, schedule_id: int) -> AnyRow | None:
    """Return the newest run of a schedule that began, waits, or was skipped or missed."""
    statement = select(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id)
    return connection.execute(statement.order_by(schedule_runs.c.fire_time.desc()).limit(1)).one_or_none()
