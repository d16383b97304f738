"""`hanmill jobs`: the jobs there are, the newest first."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, instant, number, print_rows, seconds, size

EXAMPLE = "Example: hanmill jobs --all --format json"
#: Jobs shown without `--all`.
NEWEST = 20
COLUMNS = (
    Column("id", "job", right=True),
    Column("corpus"),
    Column("operation"),
    Column("state"),
    number("documents"),
    number("dead"),
    number("shards_done", "done"),
    number("shards"),
    size("bytes", "size"),
    seconds("elapsed_s", "elapsed"),
    Column("created_at", "since"),
    Column("fingerprint", show=lambda fingerprint: fingerprint[:8]),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="jobs", epilog=EXAMPLE)(jobs)


def jobs(
    everything: Annotated[bool, typer.Option("--all", help=f"Every job, not only the newest {NEWEST}.")] = False,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """List jobs, the newest first."""
    from storage.engine import reading
    from storage.jobs import list_ids, views
    from workers.cli.opening import open_parts

    with open_parts() as parts, reading(parts.engine) as connection:
        ids = list_ids(connection)
        rows = [shown(view) for view in views(connection, ids if everything else ids[:NEWEST])]
    print_rows(rows, COLUMNS, output)


def shown(view: dict[str, Any]) -> dict[str, Any]:
    """Return a job with its instants as text."""
    return {**view, "created_at": instant(view["created_at"]), "finished_at": instant(view["finished_at"])}
