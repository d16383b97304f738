"""`hanmill jobs`: the jobs there are, the newest first."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, number, print_rows, seconds, size

if TYPE_CHECKING:
    from storage.asking import Asker

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
    from workers.cli.opening import look

    print_rows(look(partial(_listed, everything=everything)), COLUMNS, output)


def _listed(asker: Asker, *, everything: bool) -> list[dict[str, Any]]:
    from storage.job_views import list_ids, views
    from workers.cli.job_report import shown

    ids = list_ids(asker)
    return [shown(view) for view in views(asker, ids if everything else ids[:NEWEST])]
