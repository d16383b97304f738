"""`hanmill status JOB`: one job as the ledger has it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, human_bytes, number, print_json, print_rows, print_table

if TYPE_CHECKING:
    from storage.asking import Asker
    from storage.engine import Connection, Engine

EXAMPLE = "Example: hanmill status 3 --watch"
#: Characters of an error that a table shows.
ERROR_SHOWN = 160
STATE_COLUMNS = (Column("state", "shards"), number("shards", "number"))
ERROR_COLUMNS = (
    Column("id", "shard", right=True),
    Column("state"),
    number("failures"),
    number("losses"),
    number("deferrals"),
    Column("error", "last error", lambda error: error.splitlines()[0][:ERROR_SHOWN]),
)
FIELD_COLUMNS = (Column("field", "job"), Column("value", ""))


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
        _print(look(partial(answer, job_id=job)), output)


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
        _print(report, output)
        raise typer.Exit(_exit_code(parts.engine, job_id))


def _print(report: dict[str, Any], output: options.OutputFormat) -> None:
    if output is options.OutputFormat.JSON:
        print_json(report)
    elif output is options.OutputFormat.CSV:
        flat = {name: value for name, value in report.items() if not isinstance(value, dict | list)}
        print_rows([flat], (), output)
    else:
        _print_tables(report)


def describe(connection: Connection, job_id: int) -> dict[str, Any]:
    """Return everything that is known of a job."""
    from storage.asking import ConnectionAsker

    return answer(ConnectionAsker(connection), job_id)


def answer(asker: Asker, job_id: int) -> dict[str, Any]:
    """Return everything that is known of a job."""
    from storage import job_views
    from workers.cli.job_list import shown
    from workers.cli.result import fault_of

    (job,) = job_views.views(asker, [job_id])
    return {
        **shown(job),
        # Of a job that has ended well; whether one that goes on will, nobody knows.
        "adds_up": fault_of(job) is None if job["state"] in {"DONE", "DONE_WITH_DEAD"} else None,
        "parameters": job_views.parameters(asker, job_id),
        "dead_standing": job_views.standing_letters(asker, job_id),
        "shards_by_state": job_views.shards_by_state(asker, [job_id]),
        "last_errors": job_views.last_errors(asker, job_id),
        "model_runs": job_views.run_totals(asker, [job["fingerprint"]]).get(job["fingerprint"], {}),
    }


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


def _model_runs(totals: dict[str, float]) -> dict[str, str]:
    """Return what the table says of all runs of models under the job's fingerprint."""
    if not totals:
        return {}
    waited = totals["waiting_s"] / totals["elapsed_s"] if totals["elapsed_s"] else 0.0
    rate = f"{totals['documents_per_s']:,.0f} documents/s, {totals['tokens_per_s']:,.0f} positions/s"
    return {"model": f"{rate}; {totals['padding_waste']:.1%} padding, {waited:.0%} of the time without data"}


def _print_tables(report: dict[str, Any]) -> None:
    from workers.cli.result import equation, rate_of

    given = ", ".join(f"{name}={value}" for name, value in report["parameters"].items() if value not in {None, ""})
    fields = {
        str(report["id"]): f"{report['operation']} over {report['corpus']} ({given})",
        "state": report["state"] + (f": {report['reason']}" if report["reason"] else ""),
        "documents": equation(report),
        "size": f"{human_bytes(report['bytes_done'])} of {human_bytes(report['bytes'])}, "
        f"{human_bytes(report['reused_bytes'])} known before",
        "tokens": f"{report['tokens']:,}",
        "elapsed": f"{report['elapsed_s']:,.1f} s {rate_of(report)}",
        "since": report["created_at"],
        "until": report["finished_at"],
        "fingerprint": report["fingerprint"],
        **_model_runs(report["model_runs"]),
        "dead letters": f"{report['dead_standing']:,} stand; see hanmill dead {report['id']}"
        if report["dead_standing"]
        else "none stand",
    }
    print_table([{"field": name, "value": value} for name, value in fields.items()], FIELD_COLUMNS)
    states = [{"state": state, "shards": count} for state, count in sorted(report["shards_by_state"].items())]
    print_table(states, STATE_COLUMNS, title="")
    if report["last_errors"]:
        print_table(report["last_errors"], ERROR_COLUMNS, title="")
