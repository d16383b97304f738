"""Brings a database to the schema that this program declares, and says when it is not there.

The only module that imports Alembic. The steps themselves stand in `migrations/versions/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import select
from sqlalchemy.sql import func

from storage.engine import reading, transact
from storage.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: The advisory lock of PostgreSQL under which one process at a time migrates; any number that is nobody else's.
ADVISORY_LOCK = 7_238_014_461_903_342_105


def upgrade(engine: Engine) -> None:
    """Apply every migration that a database lacks; safe while other processes do the same.

    Raises `UsageError` when the database is newer than this program.
    """

    def work(connection: Connection) -> None:
        _lock(connection)
        _refuse_newer(_revision(connection))
        command.upgrade(_config(connection), "head")

    transact(engine, work)


def downgrade(engine: Engine, revision: str) -> None:
    """Take migrations back down to a revision, or all of them with `base`. Their tables' rows are lost."""

    def work(connection: Connection) -> None:
        _lock(connection)
        command.downgrade(_config(connection), revision)

    transact(engine, work)


def current_revision(engine: Engine) -> str | None:
    """Return the revision at which a database stands, None for one without tables."""
    with reading(engine) as connection:
        return _revision(connection)


def head_revision() -> str:
    """Return the revision that this program works with."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


def check_schema(engine: Engine) -> None:
    """Raise `UsageError` unless a database stands at exactly the revision that this program works with."""
    found, head = current_revision(engine), head_revision()
    if found == head:
        return
    _refuse_newer(found)
    state = "has no tables yet" if found is None else f"stands at revision {found}, this program needs {head}"
    message = f"the database {state}; run `hanmill db upgrade`"
    raise UsageError(message)


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def is_known(revision: str | None) -> bool:
    """Say whether this program knows a revision; none at all it can begin with."""
    script = ScriptDirectory.from_config(_config(None))
    return revision is None or revision in {known.revision for known in script.walk_revisions()}


def _refuse_newer(found: str | None) -> None:
    if is_known(found):
        return
    message = f"the database stands at revision {found}, which this program does not know; install a newer hanmill"
    raise UsageError(message)


def _lock(connection: Connection) -> None:
    # On SQLite the transaction itself is the lock, for it begins as a writer.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def _config(connection: Connection | None) -> Config:
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    return config
