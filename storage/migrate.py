"""Brings a database to the schema that this program declares, and says when it is not there.

The only module that imports Alembic, and only where steps are applied or looked into: a command that asks whether the
schema is right need not wait for it. The steps themselves stand in `migrations/versions/`, each in a file that begins
with its revision.

So that a deployment can be upgraded while it works, a step may say `oldest_program = "0005"`: programs of revision
0005 and later go on working once it is applied, because it only adds what they do not look at, or takes away what they
use no more. For a step that says nothing every older program must be stopped. The database keeps what comes of it as a
mark, since an older program cannot know the later steps.

Views are no business of the steps: they are made anew at the end of every upgrade, see `views`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import column, inspect, select, table
from sqlalchemy.sql import func

from storage import marks, views
from storage.engine import now, reading, transact
from storage.errors import UsageError
from storage.revisions import head_revision, known_revisions
from storage.schema import shards
from storage.states import ShardState

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script, ScriptDirectory
    from sqlalchemy import Connection, Engine

#: The advisory lock of PostgreSQL under which one process at a time migrates; any number that is nobody else's.
ADVISORY_LOCK = 7_238_014_461_903_342_105
#: The mark `REVISION OLDEST`: with a database at that revision, programs of the oldest one and later work.
OLDEST_PROGRAM = "schema.oldest_program"
#: Alembic's own table; its one row names the revision.
_VERSION = table("alembic_version", column("version_num"))


def upgrade(engine: Engine) -> None:
    """Apply every migration that a database lacks; safe while other processes do the same.

    A newer database that this program works with is left as it is. Raises `UsageError` when it does not.
    """
    from alembic import command  # noqa: PLC0415 - heavy, and only who migrates needs it

    def work(connection: Connection) -> None:
        _lock(connection)
        if _is_newer_and_fit(connection):
            return
        found = _revision(connection)
        _refuse_newer(found)
        if connection.dialect.name == "sqlite" and found not in {None, head_revision()}:
            views.drop(connection)
        command.upgrade(_config(connection), "head")
        views.make(connection)
        marks.put(connection, OLDEST_PROGRAM, f"{head_revision()} {oldest_program()}")

    transact(engine, work)


def downgrade(engine: Engine, revision: str) -> None:
    """Take migrations back down to a revision, or all of them with `base`. Their tables' rows are lost.

    The views are gone then: an older program's `upgrade` makes those that it promises.
    """
    from alembic import command  # noqa: PLC0415 - heavy, and only who migrates needs it

    def work(connection: Connection) -> None:
        _lock(connection)
        views.drop(connection)
        command.downgrade(_config(connection), revision)

    transact(engine, work)


def current_revision(engine: Engine) -> str | None:
    """Return the revision at which a database stands, None for one without tables."""
    with reading(engine) as connection:
        return _revision(connection)


def check_schema(engine: Engine) -> None:
    """Raise `UsageError` unless a database is one that this program works with.

    It stands at the program's own revision, or at a later one that says it suits this program.
    """
    head = head_revision()
    with reading(engine) as connection:
        found = _revision(connection)
        if found == head or _is_newer_and_fit(connection):
            return
    _refuse_newer(found)
    state = "has no tables yet" if found is None else f"stands at revision {found}, this program needs {head}"
    message = f"the database {state}; run `hanmill db upgrade`"
    raise UsageError(message)


def suits(engine: Engine) -> bool:
    """Say whether this program works with a database as it stands."""
    with reading(engine) as connection:
        return _revision(connection) == head_revision() or _is_newer_and_fit(connection)


def oldest_program(steps: Sequence[Script] | None = None) -> str:
    """Return the oldest revision whose programs work with a database at the head, by what the steps say; newest first.

    Steps 0008 (`oldest_program = "0006"`), 0007 (`"0006"`), 0006 (nothing) -> 0006.
    """
    chain = steps if steps is not None else list(_script().walk_revisions())
    place = {step.revision: number for number, step in enumerate(chain)}
    reach = len(chain) - 1
    for number, step in enumerate(chain):
        # A program must be let through by every step that it does not know.
        reach = min(reach, place[getattr(step.module, "oldest_program", step.revision)])
        if reach <= number:
            break
    return chain[reach].revision


def is_rolling(engine: Engine) -> bool:
    """Say whether programs of a database's own revision go on working once it is upgraded to this program's."""
    found = current_revision(engine)
    newest_first = [step.revision for step in _script().walk_revisions()]
    if found not in newest_first:
        # An empty database has no programs that could be disturbed; a newer one is not upgraded.
        return True
    return newest_first.index(found) <= newest_first.index(oldest_program())


def held_shards(engine: Engine) -> int:
    """Return how many shards are leased just now; on an old schema too, for a lease is as old as the tables."""
    with reading(engine) as connection:
        held = select(func.count()).where(shards.c.state == ShardState.LEASED, shards.c.lease_until > now())
        return connection.scalar(held) or 0


def _is_newer_and_fit(connection: Connection) -> bool:
    found = _revision(connection)
    if is_known(found):
        return False
    at, _, oldest = (marks.get(connection, OLDEST_PROGRAM) or "").partition(" ")
    # The program is at least as new as the oldest that works if it knows that one's revision.
    return at == found and is_known(oldest)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION.name):
        return None
    found: str | None = connection.scalar(select(_VERSION.c.version_num))
    return found


def is_known(revision: str | None) -> bool:
    """Say whether this program knows a revision; none at all it can begin with."""
    return revision is None or revision in known_revisions()


def _refuse_newer(found: str | None) -> None:
    if is_known(found):
        return
    message = (
        f"the database stands at revision {found}, which this program does not know and which is not marked as "
        "suiting it; install a newer hanmill"
    )
    raise UsageError(message)


def _lock(connection: Connection) -> None:
    # On SQLite the transaction itself is the lock, for it begins as a writer.
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(ADVISORY_LOCK)))


def _script() -> ScriptDirectory:
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - heavy, and only who migrates needs it

    return ScriptDirectory.from_config(_config(None))


def _config(connection: Connection | None) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - heavy, and only who migrates needs it

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "storage:migrations")
    config.set_main_option("path_separator", "os")
    return config
