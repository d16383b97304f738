"""Small facts that outlive a process: the broker's epoch, when somebody last reconciled. One row each."""

from __future__ import annotations

from sqlalchemy import Connection, cast, delete, or_, select, update
from sqlalchemy.types import Double

from storage.engine import insert_new, now, upsert
from storage.schema import marks


def get(connection: Connection, name: str) -> str | None:
    """Return a mark's value, or None when it is not set."""
    return connection.scalar(select(marks.c.value).where(marks.c.name == name))


def put(connection: Connection, name: str, value: str | None) -> None:
    """Set a mark, or take it away."""
    if value is None:
        connection.execute(delete(marks).where(marks.c.name == name))
    else:
        upsert(connection, marks, [{"name": name, "value": value}], ["name"])


def take_turn(connection: Connection, name: str, interval_s: float) -> bool:
    """Return True to one caller in every interval; the others may leave the work to it."""
    moment = connection.scalar(select(now())) or 0.0
    insert_new(connection, marks, [{"name": name, "value": "0"}])
    last = cast(marks.c.value, Double)
    # Compared with the clock as it is once the row is ours: the moment read above may be before another's turn.
    statement = update(marks).where(marks.c.name == name, or_(last <= now() - interval_s, last > now()))
    return connection.execute(statement.values(value=repr(moment))).rowcount == 1
