"""`hanmill doctor`: is everything as it must be, and if not, what to do."""

from __future__ import annotations

import typer

from workers.cli import options
from workers.cli.edge import EXIT_FAILED
from workers.cli.output import Column, print_rows

EXAMPLE = "Example: hanmill doctor --format json"
COLUMNS = (Column("state"), Column("name", "check"), Column("detail"), Column("remedy"))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(doctor)


def doctor(output: options.FormatOption = options.OutputFormat.TABLE) -> None:
    """Look at home, database, broker, time limits and workers; say what is wrong and the remedy.

    Exit code 1 when a check fails; a warning does not count.
    """
    from workers.doctor.checks import State
    from workers.doctor.examination import examine
    from workers.settings import load_settings

    findings = list(examine(load_settings()))
    rows = [{"name": one.name, "state": str(one.state), "detail": one.detail, "remedy": one.remedy} for one in findings]
    print_rows(rows, COLUMNS, output)
    if any(one.state is State.FAIL for one in findings):
        raise typer.Exit(EXIT_FAILED)
