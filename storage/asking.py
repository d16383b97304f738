"""Asks the database in plain SQL, over a connection of SQLAlchemy or over the driver alone. Changes nothing.

Loading SQLAlchemy takes a command a good deal longer than most questions. A question that is to be answered at once is
written in SQL that both databases read alike, with values as `:name`, and asked of an `Asker`.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from storage.errors import HanmillError
from storage.revisions import head_revision

if TYPE_CHECKING:
    from sqlalchemy import Connection

#: A value of a statement, as it is written in it.
_VALUE = re.compile(r"(?<!:):([a-z]\w*)")
#: How both databases tell the time in seconds since 1970; see `engine.now`.
CLOCKS = {
    "sqlite": "SELECT (julianday('now') - 2440587.5) * 86400.0 AS moment",
    "postgresql": "SELECT CAST(extract(epoch FROM clock_timestamp()) AS double precision) AS moment",
}
#: How long PostgreSQL may let a command wait for its connection, in seconds, and for what it has sent, in milliseconds.
PATIENCE = {"connect_timeout": 10, "tcp_user_timeout": 25_000}
#: How long SQLite waits for another process, in seconds.
SQLITE_PATIENCE_S = 30.0

Row = Mapping[str, Any]


class NoGlanceError(HanmillError):
    """The driver alone will not do: ask over SQLAlchemy, which says in full what is wrong, if anything is."""


class Asker(Protocol):
    """Answers questions in SQL."""

    def ask(self, statement: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of a statement; its values stand in it as `:name`."""
        ...

    def clock(self) -> float:
        """Return the database's time in seconds since 1970."""
        ...


def one_of(column: str, values: Sequence[Any], name: str) -> tuple[str, dict[str, Any]]:
    """Return the condition that a column has one of some values, and these by name: `id IN (:id0, :id1)`.

    With no value at all nothing fulfils it.
    """
    named = {f"{name}{place}": value for place, value in enumerate(values)}
    listed = ", ".join(f":{one}" for one in named) or "NULL"
    return f"{column} IN ({listed})", named


class ConnectionAsker:
    """Asks over a connection that is open already."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def ask(self, statement: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of a statement."""
        from sqlalchemy import text  # noqa: PLC0415 - it is loaded: there is a connection

        return [dict(row) for row in self._connection.execute(text(statement), dict(values)).mappings()]

    def clock(self) -> float:
        """Return the database's time."""
        return float(self.ask(CLOCKS[self._connection.dialect.name], {})[0]["moment"])


class _DriverAsker:
    """Asks over a connection of the driver's own."""

    def __init__(self, connection: Any, kind: str, fault: type[Exception]) -> None:
        self._connection = connection
        self._kind = kind
        self._fault = fault

    def ask(self, statement: str, values: Mapping[str, Any]) -> Sequence[Row]:
        """Return the rows of a statement; raises `NoGlanceError` when the database does not give them."""
        if self._kind == "postgresql":
            statement = _VALUE.sub(r"%(\1)s", statement)
        try:
            cursor = self._connection.execute(statement, dict(values))
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
        except self._fault as error:
            raise NoGlanceError(str(error)) from error

    def clock(self) -> float:
        """Return the database's time."""
        return float(self.ask(CLOCKS[self._kind], {})[0]["moment"])


@contextmanager
def open_glance(database_url: str) -> Iterator[Asker]:
    """Have what asks a database by its driver alone, in one transaction that only reads.

    Raises `NoGlanceError` when the database is not there, or its schema is not this program's own.
    """
    opened = _open_sqlite(database_url) if database_url.startswith("sqlite:") else _open_postgresql(database_url)
    connection, kind, fault = opened
    try:
        asker = _DriverAsker(connection, kind, fault)
        found = asker.ask("SELECT version_num FROM alembic_version", {})
        if [row["version_num"] for row in found] != [head_revision()]:
            message = "the schema is not this program's own"
            raise NoGlanceError(message)
        yield asker
    finally:
        connection.close()


def _open_sqlite(database_url: str) -> tuple[Any, str, type[Exception]]:
    path = Path(database_url.removeprefix("sqlite:///"))
    if not database_url.startswith("sqlite:///") or "?" in database_url or not path.is_file():
        message = f"{path} is not there"
        raise NoGlanceError(message)
    try:
        connection = sqlite3.connect(path, timeout=SQLITE_PATIENCE_S, isolation_level=None)
        connection.execute("PRAGMA query_only = ON")
        connection.execute("BEGIN DEFERRED")
    except sqlite3.Error as error:
        raise NoGlanceError(str(error)) from error
    return connection, "sqlite", sqlite3.Error


def _open_postgresql(database_url: str) -> tuple[Any, str, type[Exception]]:
    scheme, separator, rest = database_url.partition("://")
    try:
        import psycopg  # noqa: PLC0415 - heavy, and only for PostgreSQL
    except ModuleNotFoundError as error:
        raise NoGlanceError(str(error)) from error
    if scheme not in {"postgresql", "postgresql+psycopg"} or not separator:
        message = f"{scheme} is asked over SQLAlchemy"
        raise NoGlanceError(message)
    patience: dict[str, Any] = {name: value for name, value in PATIENCE.items() if name not in rest}
    try:
        connection = psycopg.connect(f"postgresql://{rest}", **patience)
        connection.read_only = True
    except psycopg.Error as error:
        raise NoGlanceError(str(error)) from error
    return connection, "postgresql", psycopg.Error
