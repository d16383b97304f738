"""`hanmill corpora`: what corpora there are."""

from __future__ import annotations

import typer

from workers.cli import options
from workers.cli.edge import DefaultCommandGroup
from workers.cli.output import Column, number, print_rows, size

EXAMPLE = "Example: hanmill corpora --format json"
COLUMNS = (Column("name", "corpus"), number("sources"), size("bytes", "size"), number("jobs"))


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(cls=DefaultCommandGroup, help="List the corpora there are.", epilog=EXAMPLE)
    group.command(name="list", epilog=EXAMPLE)(list_corpora)
    app.add_typer(group, name="corpora")


def list_corpora(output: options.FormatOption = options.OutputFormat.TABLE) -> None:
    """List corpora with how much they hold: sources, their bytes as they are stored, and jobs."""
    from storage.corpora import list_corpora as load
    from storage.engine import reading
    from workers.cli.opening import open_parts

    with open_parts() as parts, reading(parts.engine) as connection:
        rows = load(connection)
    print_rows(rows, COLUMNS, output)
