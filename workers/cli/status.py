"""`hanmill status JOB`: one job as the ledger has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.job_report import answer, print_report

if TYPE_CHECKING:
    from storage.engine import Connection, Engine

EXAMPLE = "Example: hanmill status 3 --watch"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(status)


def status(
    job: options.JobArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Show the progress until the job has ended.")] = False,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show one job: its state, its figures, its shards by state, and what went wrong last.

    With --watch the exit codes are those of `run`.
    """
    from workers.cli.opening import look

    if watch:
        _watch_and_print(job, output)
    else:
        print_report(look(partial(answer, job_id=job)), output)


def _watch_and_print(job_id: int, output: options.OutputFormat) -> None:
    """Show a job until it ends, and end with its exit code."""
    from storage.engine import reading
    from storage.jobs import get
    from workers.cli.opening import open_parts

    with open_parts() as parts:
        with reading(parts.engine) as connection:
            get(connection, job_id)
        _watch(parts.engine, job_id)
        with reading(parts.engine) as connection:
            report = describe(connection, job_id)
        print_report(report, output)
        raise typer.Exit(_exit_code(parts.engine, job_id))


def describe(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return everything that is known of a job."""
    from storage.asking import ConnectionAsker

    return answer(ConnectionAsker(connection), job_id)


def _watch(engine: Engine, job_id: int) -> None:
    from workers.cli.progress import progress_display
    from workers.cli.waiting import wait_for_end

    with progress_display() as display:
        wait_for_end(engine, [job_id], display)


def _exit_code(engine: Engine, job_id: int) -> int:
    from storage.engine import reading
    from storage.jobs import view
    from workers.cli.result import exit_code

    with reading(engine) as connection:
        return exit_code(connection, [view(connection, job_id)])
