"""Schedules as rows: added, found, paused, removed, and how late they are. What becomes of them: `schedule_runs.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql import func

from storage.cron_times import check_clock_time, check_cron, next_after
from storage.engine import AnyRow, now
from storage.errors import UsageError
from storage.schema import schedule_runs, schedules
from storage.states import RunState

#: What happens to a run that is due while the one before it goes on.
OVERLAPS = ("skip", "queue")
#: Longest name of a schedule, in characters.
NAME_CHARS = 200
#: Names that a message shows at most.
NAMES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class NewSchedule:
    """What a schedule is made of; everything that its operations and inputs can have wrong is checked before."""

    name: str
    corpus: str
    operations: Sequence[str]
    cron: str
    timezone: str
    options: Mapping[str, Any] = field(default_factory=dict)
    listing: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[str] = ()
    shard_bytes: int | None = None
    priority: int = 0
    overlap: str = "skip"
    #: Seconds; a run that could not begin for longer is missed.
    grace_s: float = 6 * 3600.0
    document_limit: int | None = None
    #: HH:MM in the schedule's time zone.
    finish_by: str | None = None


class Lateness(NamedTuple):
    """How a schedule stands, for whoever watches it."""

    name: str
    #: How long ago a run was due that has not begun; 0.0 when none is.
    late_s: float
    #: The state of the last run that ended, was skipped or was missed; None when there was none.
    outcome: str | None
    #: When the last run that began ended, in seconds since 1970.
    finished_at: float | None
    paused: bool


def lateness(connection: Connection) -> list[Lateness]:
    """Return how late every schedule is just now, by name; a paused one never is."""
    moment = float(connection.scalar(select(now())) or 0.0)
    waiting = {
        row.schedule_id: row.first
        for row in connection.execute(
            select(schedule_runs.c.schedule_id, func.min(schedule_runs.c.fire_time).label("first"))
            .where(
                schedule_runs.c.state.in_([RunState.WAITING, RunState.RUNNING]), schedule_runs.c.started_at.is_(None)
            )
            .group_by(schedule_runs.c.schedule_id)
        )
    }
    return [
        _lateness(connection, row, min(row.next_at or moment, waiting.get(row.id, moment)), moment)
        for row in connection.execute(select(schedules).order_by(schedules.c.name)).all()
    ]


def _lateness(connection: Connection, row: AnyRow, due_at: float, moment: float) -> Lateness:
    ended = schedule_runs.c.state.not_in([RunState.WAITING, RunState.RUNNING])
    of_schedule = schedule_runs.c.schedule_id == row.id
    last = select(schedule_runs.c.state).where(of_schedule, ended).order_by(schedule_runs.c.fire_time.desc()).limit(1)
    finished = select(func.max(schedule_runs.c.finished_at)).where(of_schedule, schedule_runs.c.started_at.is_not(None))
    late_s = 0.0 if row.paused else max(0.0, moment - due_at)
    return Lateness(row.name, late_s, connection.scalar(last), connection.scalar(finished), bool(row.paused))


def add(connection: Connection, new: NewSchedule) -> int:
    """Write a schedule's row and return its id; raises `UsageError` for what cannot be, and for a taken name."""
    _check(new)
    moment = float(connection.scalar(select(now())) or 0.0)
    values = {
        "name": new.name,
        "corpus": new.corpus,
        "operations": _as_json(list(new.operations)),
        "options": _as_json(dict(new.options)),
        "listing": _as_json(dict(new.listing)),
        "inputs": _as_json(list(new.inputs)),
        "shard_bytes": new.shard_bytes,
        "priority": new.priority,
        "cron": new.cron,
        "timezone": new.timezone,
        "overlap": new.overlap,
        "grace_s": new.grace_s,
        "document_limit": new.document_limit,
        "finish_by": new.finish_by,
        "next_at": next_after(new.cron, new.timezone, moment),
        "created_at": moment,
    }
    try:
        (schedule_id,) = connection.execute(insert(schedules).values(**values)).inserted_primary_key or (0,)
    except IntegrityError as error:
        message = f"there is a schedule {new.name!r} already; take another name, or remove it first"
        raise UsageError(message) from error
    return int(schedule_id)


def _check(new: NewSchedule) -> None:
    if not new.name.strip() or len(new.name) > NAME_CHARS or not new.name.isprintable():
        message = f"a schedule needs a name of 1 to {NAME_CHARS} characters, not {new.name!r}"
        raise UsageError(message)
    if new.overlap not in OVERLAPS:
        message = f"--overlap is one of {', '.join(OVERLAPS)}, not {new.overlap!r}"
        raise UsageError(message)
    if new.grace_s <= 0 or (new.document_limit is not None and new.document_limit < 1):
        message = "--grace and --limit must be larger than nothing"
        raise UsageError(message)
    check_cron(new.cron, new.timezone)
    if new.finish_by is not None:
        check_clock_time(new.finish_by)


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def get(connection: Connection, name: str) -> AnyRow:
    """Return a schedule's row; raises `UsageError` naming those there are."""
    row = connection.execute(select(schedules).where(schedules.c.name == name)).one_or_none()
    if row is None:
        some = select(schedules.c.name).order_by(schedules.c.name).limit(NAMES_SHOWN)
        names = ", ".join(connection.scalars(some)) or "none yet"
        message = f"there is no schedule {name!r}; there are: {names}"
        raise UsageError(message)
    return row


def list_all(connection: Connection) -> list[AnyRow]:
    """Return every schedule's row, by name."""
    return list(connection.execute(select(schedules).order_by(schedules.c.name)))


def pause(connection: Connection, name: str) -> bool:
    """Have a schedule fire nothing; what runs goes on. False when it was paused before."""
    get(connection, name)
    statement = update(schedules).where(schedules.c.name == name, schedules.c.paused.is_(False))
    return connection.execute(statement.values(paused=True)).rowcount == 1


def resume(connection: Connection, name: str) -> bool:
    """Have a paused schedule fire again, from now on: what was due meanwhile is not caught up."""
    row = get(connection, name)
    moment = float(connection.scalar(select(now())) or 0.0)
    statement = update(schedules).where(schedules.c.name == name, schedules.c.paused.is_(True))
    values = {"paused": False, "next_at": next_after(row.cron, row.timezone, moment)}
    return connection.execute(statement.values(**values)).rowcount == 1


def remove(connection: Connection, name: str) -> None:
    """Take a schedule away; its runs stay readable, and what runs goes on."""
    row = get(connection, name)
    connection.execute(delete(schedules).where(schedules.c.id == row.id))
