"""Opens the database, and says for both kinds what differs between them: clock, locking, bulk loading.

Makes no table (see `migrations`) and is never used across a fork: every process opens its own engine.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Engine, Row, Table, create_engine, event
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.pool import NullPool, Pool, QueuePool
from sqlalchemy.sql import func
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Double

from storage.errors import StorageError, TransientError, UsageError

__all__ = [
    "AnyRow",
    "Connection",
    "Engine",
    "count_rows",
    "insert_new",
    "is_retryable",
    "load_rows",
    "now",
    "open_engine",
    "reading",
    "transact",
    "upsert",
]

#: How long SQLite waits for another process's write, in milliseconds, before the transaction is tried again.
SQLITE_BUSY_TIMEOUT_MS = 30_000
#: Rows of one INSERT; both databases' drivers stay well under their limits of bound values.
INSERT_ROWS = 1000
#: How often a transaction that lost a race is tried again, with growing pauses.
TRANSACTION_TRIES = 8
#: SQLSTATEs of PostgreSQL after which the same transaction may succeed: serialization failure, deadlock,
#: lock not available, and every class of "the server went away".
RETRIED_SQLSTATES = ("40001", "40P01", "55P03", "57P01", "57P02", "57P03")
#: Classes of SQLSTATE that blame the server and not what was asked of it: out of disk, memory or connections, a file
#: that cannot be read or written.
UNFIT_CLASSES = ("53", "58")
#: The same of SQLite, by the beginnings of its errors' names.
UNFIT_SQLITE = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM", "SQLITE_CANTOPEN", "SQLITE_READONLY")
#: What is said of a database that has no room left, and of a SQLite file that cannot be read or written, which is what
#: SQLite says when there is no room for its log.
MAKE_ROOM = "its disk is full: make room there, and what waits goes on by itself"
PERHAPS_MAKE_ROOM = "its disk is full or broken: make room there, and what waits goes on by itself"

#: When a connection to PostgreSQL is given up whose other end is gone without a word (a cable, a firewall, a dead
#: machine): after 25 s of silence that the kernel asked into, or of what was sent not being taken. Names are libpq's;
#: seconds, the last one milliseconds.
SILENCE = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
#: The same for the server's end; and when it gives up a process that stands still in the middle of a transaction (it is
#: stopped, or its container is frozen) while its kernel still answers for it, in milliseconds. See `frozen_sessions`.
SERVER_SILENCE = {
    "tcp_keepalives_idle": 10,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 25_000,
    "idle_in_transaction_session_timeout": 60_000,
}

Result = TypeVar("Result")
#: A row of any statement; its columns are attributes.
AnyRow: TypeAlias = Row[*tuple[Any, ...]]


class now(FunctionElement[float]):  # noqa: N801 - it stands in statements where SQL's function would
    """The database's clock in seconds since 1970; the only clock that the ledger believes."""

    type = Double()
    inherit_cache = True
    name = "now"


@compiles(now, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    # Not now(): that is the transaction's start, and a lease is counted from this very moment.
    return "extract(epoch from clock_timestamp())::double precision"


def open_engine(database_url: str, *, keeps_connections: bool = False) -> Engine:
    """Return an engine for `sqlite:///…` or `postgresql://…`.

    `keeps_connections` is for a process that works on and on, and forks no other: on SQLite each connection reads the
    whole schema first, which takes 2 ms. On PostgreSQL connections are always kept.

    Raises `UsageError` when the address names no database that hanmill can use.
    """
    try:
        url = make_url(database_url)
    except (ArgumentError, ValueError) as error:
        # Not shown: what is no address may be one with a password all the same.
        message = "HANMILL_DATABASE_URL is not a database address; write sqlite:///FILE or postgresql://USER:PASSWORD@HOST/DATABASE"
        raise UsageError(message) from error
    if url.get_backend_name() == "sqlite":
        return _open_sqlite(database_url, QueuePool if keeps_connections else NullPool)
    if url.get_backend_name() == "postgresql":
        return _open_postgresql(str(url.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)))
    message = f"HANMILL_DATABASE_URL names {url.get_backend_name()}; hanmill stores in sqlite or postgresql"
    raise UsageError(message)


def _open_sqlite(database_url: str, pool: type[Pool]) -> Engine:
    # Without a pool none is ever left open over a fork, and the last to close one leaves a single file behind.
    engine = create_engine(
        database_url,
        poolclass=pool,
        hide_parameters=True,
        # A kept connection may serve one thread after the other.
        connect_args={"timeout": SQLITE_BUSY_TIMEOUT_MS / 1000, "check_same_thread": False},
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The driver's own BEGIN comes too late (before the first write) and is deferred: two readers that both
        # want to write would fail at once, whatever the busy timeout. We begin by ourselves, below.
        connection.isolation_level = None
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _open_postgresql(database_url: str) -> Engine:
    # What the address itself says stands.
    named = make_url(database_url).query
    try:
        engine = create_engine(
            database_url,
            pool_size=2,
            max_overflow=8,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={name: value for name, value in SILENCE.items() if name not in named},
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        message = "PostgreSQL needs the driver psycopg: pip install 'hanmill[postgres]'"
        raise UsageError(message) from error

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        # The server too must learn that a machine was cut off: the row of a shard that it was about to finish stays
        # locked until then, by default for two hours, and nobody else can take the shard.
        connection.autocommit = True
        wanted = {name: value for name, value in SERVER_SILENCE.items() if name not in str(named.get("options"))}
        connection.execute("; ".join(f"SET {name} = {value}" for name, value in wanted.items()))
        connection.autocommit = False

    return engine


@contextmanager
def reading(engine: Engine, *, unhurried: bool = False) -> Iterator[Connection]:
    """Open a transaction that only reads; on SQLite it takes no lock that a writer would wait for.

    Who hands on what it reads is `unhurried`: it may stand still between two rows for as long as the other end likes.
    Raises `TransientError` when the database is away or goes away, and `StorageError` when it is unfit to work.
    """
    try:
        with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
            if unhurried and connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            yield connection
    except DBAPIError as error:
        if is_retryable(error):
            message = f"the database did not answer: {error.orig}"
            raise TransientError(message) from error
        if not is_unfit(error):
            raise
        _forget_connections(engine)
        raise StorageError(_refusal(error)) from error


def is_retryable(error: DBAPIError) -> bool:
    """Say whether the same transaction may succeed when it is run again."""
    if error.connection_invalidated:
        return True
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return sqlstate in RETRIED_SQLSTATES or sqlstate.startswith("08")
    if isinstance(error.orig, sqlite3.Error):
        return "locked" in str(error.orig) or "busy" in str(error.orig)
    # psycopg gives no SQLSTATE when the connection itself broke or could not be made.
    return isinstance(error, OperationalError)


def is_unfit(error: DBAPIError) -> bool:
    """Say whether the database itself is at fault (its disk is full, say), whatever was asked of it."""
    sqlstate = getattr(error.orig, "sqlstate", None)
    if sqlstate is not None:
        return str(sqlstate).startswith(UNFIT_CLASSES)
    return str(getattr(error.orig, "sqlite_errorname", "")).startswith(UNFIT_SQLITE)


def _forget_connections(engine: Engine) -> None:
    """Close what is kept: SQLite then clears its log away, and whoever opens the file anew meets the trouble too."""
    if engine.dialect.name == "sqlite":
        engine.dispose()


def _refusal(error: DBAPIError) -> str:
    code = str(getattr(error.orig, "sqlstate", None) or getattr(error.orig, "sqlite_errorname", ""))
    refused = f"the database refused a transaction: {error.orig}"
    if code in {"53100", "SQLITE_FULL"}:
        return f"{refused}; {MAKE_ROOM}"
    return f"{refused}; {PERHAPS_MAKE_ROOM}" if code.startswith("SQLITE_IOERR") else refused


def transact(engine: Engine, work: Callable[[Connection], Result]) -> Result:
    """Run `work` in one transaction, again when the database lost a race or went away, and return its result.

    `work` may run several times and must have no effect outside the connection. Raises `TransientError` when the
    database stays away, and `StorageError` when it refuses to work.
    """
    trial = 0
    while True:
        try:
            with engine.begin() as connection:
                return work(connection)
        except (DataError, IntegrityError):
            # What was written is at fault, not the database.
            raise
        except DBAPIError as error:
            if not is_retryable(error):
                _forget_connections(engine)
                raise StorageError(_refusal(error)) from error
            trial += 1
            if trial == TRANSACTION_TRIES:
                message = f"the database did not take a transaction in {trial} tries: {error.orig}"
                raise TransientError(message) from error
        # Jitter, so that two workers that collided do not collide again.
        time.sleep(random.uniform(0.5, 1.0) * 0.05 * 2**trial)  # noqa: S311 - no secret depends on it


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows in bulk; a row whose key is there already is left as it stands."""
    make = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = make(table).on_conflict_do_nothing()
    for start in range(0, len(rows), INSERT_ROWS):
        connection.execute(statement, list(rows[start : start + INSERT_ROWS]))


def upsert(
    connection: Connection, table: Table, rows: Sequence[dict[str, Any]], keys: Sequence[str], where: Any = None
) -> None:
    """Insert rows in bulk; a row whose `keys` are there already takes the new values of all other columns given."""
    if not rows:
        return
    make: Any = postgresql_insert if connection.dialect.name == "postgresql" else sqlite_insert
    statement = make(table)
    changed = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    statement = statement.on_conflict_do_update(index_elements=list(keys), index_where=where, set_=changed)
    for start in range(0, len(rows), INSERT_ROWS):
        connection.execute(statement, list(rows[start : start + INSERT_ROWS]))


def load_rows(
    connection: Connection, table: Table | str, columns: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    """Append rows by the database's bulk path: COPY on PostgreSQL, one prepared statement on SQLite."""
    table_name = table if isinstance(table, str) else table.name
    if connection.dialect.name == "postgresql":
        names = ", ".join(f'"{name}"' for name in columns)
        cursor: Any = connection.connection.cursor()
        statement = f'COPY "{table_name}" ({names}) FROM STDIN'
        try:
            with cursor, cursor.copy(statement) as copy:
                for row in rows:
                    copy.write_row(row)
        except connection.dialect.loaded_dbapi.Error as error:
            # SQLAlchemy does not see this statement; `transact` must know the error all the same.
            driver: Any = connection.connection.driver_connection
            broken = bool(driver.closed)
            kinds = connection.dialect.loaded_dbapi.Error
            raise DBAPIError.instance(statement, None, error, kinds, connection_invalidated=broken) from error
        return
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" for _ in columns)
    raw: Any = connection.connection.driver_connection
    raw.executemany(f'INSERT INTO "{table_name}" ({names}) VALUES ({marks})', rows)  # noqa: S608 - names are ours


def sort_on_disk(connection: Connection) -> None:
    """Have a connection sort millions of rows in a file: SQLite would in memory; PostgreSQL knows its work_mem."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA temp_store=FILE")


def count_rows(connection: Connection, table: Table) -> int:
    """Return how many rows a table has."""
    return connection.scalar(func.count().select().select_from(table)) or 0
