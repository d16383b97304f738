"""`hanmill db upgrade` and `db check`: the database's schema."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli.output import note

if TYPE_CHECKING:
    from workers.bootstrap import Parts

EXAMPLE = "Example: HANMILL_DATABASE_URL=postgresql://mill@db/mill hanmill db upgrade"
CHECK_EXAMPLE = "Example: HANMILL_DATABASE_URL=postgresql://mill@db/mill hanmill db check"
FORCE_HELP = "Upgrade although programs that the change would break hold shards just now."


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Bring the database to the schema of this program.", no_args_is_help=True, epilog=EXAMPLE)
    # With a callback a group stays a group, however few commands it has.
    group.callback()(_group)
    group.command(epilog=EXAMPLE)(upgrade)
    group.command(epilog=CHECK_EXAMPLE)(check)
    app.add_typer(group, name="db")


def _group() -> None:
    pass


def upgrade(force: Annotated[bool, typer.Option("--force", help=FORCE_HELP)] = False) -> None:
    """Apply the migrations that the database lacks; safe while others do the same.

    What is running goes on where the change only adds; otherwise it is to be stopped first.
    """
    from storage import migrate

    with _opened() as parts:
        before = migrate.current_revision(parts.engine)
        if not migrate.is_rolling(parts.engine) and not force:
            _refuse_while_working(parts)
        migrate.upgrade(parts.engine)
        after = migrate.current_revision(parts.engine)
        moved = "was there already" if before == after else f"came from {before or 'nothing'}"
        note(f"{_shown_url(parts)} stands at revision {after} ({moved})")


def check() -> None:
    """Say how the database stands to this program, and whether an upgrade can be done while others work.

    Exits with 0 when this program works with it as it is, with 2 when not.
    """
    from storage import migrate
    from storage.revisions import head_revision

    with _opened() as parts:
        found = migrate.current_revision(parts.engine)
        if not migrate.suits(parts.engine) and migrate.is_known(found) and found is not None:
            way = "what runs may go on meanwhile" if migrate.is_rolling(parts.engine) else "stop what runs first"
            note(f"`hanmill db upgrade` takes it from revision {found} to {head_revision()}; {way}")
        migrate.check_schema(parts.engine)
        note(f"{_shown_url(parts)} stands at revision {found}, and this program works with it")


@contextmanager
def _opened() -> Iterator[Parts]:
    from workers.bootstrap import build_parts
    from workers.cli.opening import closing_engine
    from workers.settings import load_settings

    parts = build_parts(load_settings())
    with closing_engine(parts):
        yield parts


def _refuse_while_working(parts: Parts) -> None:
    from storage.migrate import held_shards

    held = held_shards(parts.engine)
    if held:
        message = (
            f"{held} shards are held by programs that this change would break; stop every worker (SIGTERM lets it "
            "finish what it has begun), then run `hanmill db upgrade` again"
        )
        raise UsageError(message)


def _shown_url(parts: Parts) -> str:
    from workers.settings import mask

    return mask(parts.settings.sql_url)
