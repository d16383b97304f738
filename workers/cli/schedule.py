"""`hanmill schedule`: nightly jobs listed, shown, run at once, paused and removed. Adding them: `schedule_add.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options, schedule_add
from workers.cli.edge import DefaultCommandGroup
from workers.cli.output import Column, note, print_json, print_rows, print_table, seconds

if TYPE_CHECKING:
    from storage.engine import AnyRow, Connection
    from storage.schedules import Lateness

#: Runs that are shown unless more are asked for.
RUNS_SHOWN = 20
LIST_EXAMPLE = "Example: hanmill schedule list --format json"
COLUMNS = (
    Column("name"),
    Column("corpus"),
    Column("operation"),
    Column("cron"),
    Column("tz"),
    Column("state"),
    Column("last_run"),
    Column("outcome"),
    Column("next_run"),
    seconds("lateness_s", "late"),
)
RUN_COLUMNS = (
    Column("fire_time", "due"),
    Column("trigger"),
    Column("state"),
    Column("started_at", "began"),
    seconds("elapsed_s", "took"),
    Column("jobs", show=lambda jobs: " ".join(map(str, jobs))),
    Column("detail"),
)
FIELD_COLUMNS = (Column("field", "schedule"), Column("value", ""))
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A schedule; `hanmill schedule list` lists them.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=DefaultCommandGroup,
        help="List schedules (nightly jobs), add, show, run, pause, resume or remove them.",
        epilog=LIST_EXAMPLE,
    )
    group.command(name="list", epilog=LIST_EXAMPLE)(list_schedules)
    group.command(name="add", epilog=schedule_add.EXAMPLE)(schedule_add.add)
    for command in (show, history, run, pause, resume, remove):
        group.command(epilog=f"Example: hanmill schedule {command.__name__} nightly")(command)
    app.add_typer(group, name="schedule")


def list_schedules(output: options.FormatOption = options.OutputFormat.TABLE) -> None:
    """List schedules with their last and their next run."""
    from storage.engine import reading
    from storage.schedules import lateness, list_all
    from workers.cli.opening import open_parts

    with open_parts() as parts, reading(parts.engine) as connection:
        late = {one.name: one for one in lateness(connection)}
        rows = [_listed(connection, row, late[row.name]) for row in list_all(connection) if row.name in late]
    print_rows(rows, COLUMNS, output)


def _listed(connection: Connection, row: AnyRow, late: Lateness) -> dict[str, Any]:
    from storage.schedule_runs import last_of

    last = last_of(connection, row.id)
    return {
        "name": row.name,
        "corpus": row.corpus,
        "operation": ",".join(json.loads(row.operations)),
        "cron": row.cron,
        "tz": row.timezone,
        "last_run": zoned(last.fire_time, row.timezone) if last else None,
        "next_run": None if row.paused else zoned(row.next_at, row.timezone),
        "state": "paused" if row.paused else "on",
        "paused": bool(row.paused),
        "outcome": last.state if last else None,
        "detail": last.detail if last else None,
        "lateness_s": round(late.late_s, 3),
    }


def zoned(instant: float | None, timezone: str) -> str | None:
    """Return an instant as ISO 8601 in a schedule's zone."""
    from storage.cron_times import in_zone

    return None if instant is None else in_zone(instant, timezone)


def show(name: NameArgument, output: options.FormatOption = options.OutputFormat.TABLE) -> None:
    """Show one schedule: what it does, when, and its last runs with their outcome."""
    from storage.engine import reading
    from storage.schedules import get, lateness
    from workers.cli.opening import open_parts

    with open_parts() as parts, reading(parts.engine) as connection:
        row = get(connection, name)
        late = next(one for one in lateness(connection) if one.name == name)
        report = {**_listed(connection, row, late), **_order_of(row)}
        runs = _runs(connection, name, RUNS_SHOWN)
    if output is options.OutputFormat.JSON:
        print_json({**report, "runs": runs})
    elif output is options.OutputFormat.CSV:
        print_rows(runs, RUN_COLUMNS, output)
    else:
        fields = [{"field": field, "value": value} for field, value in report.items() if value not in (None, "", {})]
        print_table(fields, FIELD_COLUMNS)
        print_table(runs, RUN_COLUMNS, title="")


def _order_of(row: AnyRow) -> dict[str, Any]:
    return {
        "options": {name: value for name, value in json.loads(row.options).items() if value not in (None, "")},
        "ingest": " ".join(json.loads(row.inputs)) or None,
        "limit": row.document_limit,
        "finish_by": row.finish_by,
        "overlap": row.overlap,
        "grace_s": row.grace_s,
    }


def _runs(connection: Connection, name: str, most: int) -> list[dict[str, Any]]:
    from storage import schedule_runs
    from storage.job_ledger import moment

    present = moment(connection)
    return [
        {
            "fire_time": zoned(run.fire_time, run.timezone),
            "trigger": run.trigger,
            "state": run.state,
            "started_at": zoned(run.started_at, run.timezone),
            "finished_at": zoned(run.finished_at, run.timezone),
            "elapsed_s": round((run.finished_at or present) - run.started_at, 3) if run.started_at else None,
            "jobs": [job.id for job in schedule_runs.jobs_of(connection, run.id)],
            "detail": run.detail,
        }
        for run in schedule_runs.history(connection, name, most)
    ]


def history(
    name: NameArgument,
    most: Annotated[int, typer.Option("-n", "--limit", min=1, metavar="N", help="How many.")] = 100,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """List the runs of a schedule, the newest first; also of one that was removed."""
    from storage.engine import reading
    from storage.schedules import get
    from workers.cli.opening import open_parts

    with open_parts() as parts, reading(parts.engine) as connection:
        rows = _runs(connection, name, most)
        if not rows:
            get(connection, name)
    print_rows(rows, RUN_COLUMNS, output)


def run(
    name: NameArgument,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; then print what `run` prints.")] = False,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Run a schedule now, paused or not, and print the numbers of its jobs.

    With --wait the exit codes are those of `run`; a job that stopped at its limit or its hour is no failure, and is
    said. Exit code 1 when the run could not be started.
    """
    from functools import partial

    from storage import schedule_runs
    from storage.engine import reading, transact
    from storage.errors import HanmillError
    from storage.schedules import get
    from workers.cli.opening import open_parts, open_publisher
    from workers.cli.submit import wait_and_print
    from workers.schedule_start import start_run

    with open_parts() as parts:
        with reading(parts.engine) as connection:
            schedule = get(connection, name)
        run_id = transact(parts.engine, partial(schedule_runs.fire_now, schedule=schedule))
        with open_publisher(parts.settings) as publisher:
            job_ids = start_run(parts, publisher, run_id)
        with reading(parts.engine) as connection:
            # Where a worker was quicker, they are its.
            job_ids = job_ids or [job.id for job in schedule_runs.jobs_of(connection, run_id)]
            rows = _runs(connection, name, 1)
        if not job_ids:
            message = f"the run of {name} was not started: {rows[0]['detail'] or 'a worker starts it just now'}"
            raise HanmillError(message)
        if wait:
            raise typer.Exit(wait_and_print(parts, job_ids, output))
    if output is options.OutputFormat.JSON:
        print_json({"jobs": job_ids})
    else:
        print_rows([{"job": job_id} for job_id in job_ids], (Column("job", right=True),), output)


def pause(name: NameArgument) -> None:
    """Have a schedule fire nothing until it is resumed; what runs goes on."""
    _change(name, "pause")
    note(f"schedule {name} is paused; `hanmill schedule resume {name}` lets it fire again")


def resume(name: NameArgument) -> None:
    """Let a paused schedule fire again, from now on; what was due meanwhile is not caught up."""
    _change(name, "resume")
    note(f"schedule {name} fires again")


def remove(name: NameArgument) -> None:
    """Remove a schedule. Its jobs go on, and `hanmill schedule history` still shows its runs."""
    _change(name, "remove")
    note(f"schedule {name} is removed; `hanmill schedule history {name}` still shows its runs")


def _change(name: str, verb: str) -> None:
    from functools import partial

    from storage import schedules
    from storage.engine import transact
    from workers.cli.opening import open_parts

    changes = {"pause": schedules.pause, "resume": schedules.resume, "remove": schedules.remove}
    with open_parts() as parts:
        transact(parts.engine, partial(changes[verb], name=name))
