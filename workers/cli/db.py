"""`hanmill db upgrade`: the database's schema."""

from __future__ import annotations

import typer

from workers.cli.output import note

EXAMPLE = "Example: HANMILL_DATABASE_URL=postgresql://mill@db/mill hanmill db upgrade"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Bring the database to the schema of this program.", no_args_is_help=True, epilog=EXAMPLE)
    # With a callback a group stays a group, however few commands it has.
    group.callback()(_group)
    group.command(epilog=EXAMPLE)(upgrade)
    app.add_typer(group, name="db")


def _group() -> None:
    pass


def upgrade() -> None:
    """Apply the migrations that the database lacks; safe while others do the same."""
    from storage import migrate
    from workers.bootstrap import build_parts
    from workers.cli.opening import closing_engine
    from workers.settings import load_settings, mask

    parts = build_parts(load_settings())
    with closing_engine(parts):
        before = migrate.current_revision(parts.engine)
        migrate.upgrade(parts.engine)
        after = migrate.current_revision(parts.engine)
    moved = "was there already" if before == after else f"came from {before or 'nothing'}"
    note(f"{mask(parts.settings.sql_url)} stands at revision {after} ({moved})")
