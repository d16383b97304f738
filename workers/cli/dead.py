"""`hanmill dead`: what was set aside, with place and reason; replayed or discarded on request."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.edge import EXIT_FAILED, DefaultCommandGroup
from workers.cli.output import Column, note, print_rows

if TYPE_CHECKING:
    from storage.asking import Asker

LIST_EXAMPLE = "Example: hanmill dead 3 --format json"
REPLAY_EXAMPLE = "Example: hanmill dead replay 3"
DISCARD_EXAMPLE = "Example: hanmill dead discard 3"
COLUMNS = (
    Column("job", right=True),
    Column("reason"),
    Column("source"),
    Column("line", right=True),
    Column("offset", right=True),
    Column("key"),
    Column("attempts", right=True),
    Column("detail"),
)
#: The fields of a dead letter for programs, kept stable; the table shows the detail too.
FIELDS = ("job", "source", "line", "offset", "key", "reason", "attempts")
#: Refused letters that are named.
REFUSED_SHOWN = 5


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        cls=DefaultCommandGroup,
        help="List dead letters (of one JOB, or of all), replay or discard them.",
        epilog=LIST_EXAMPLE,
    )
    group.command(name="list", epilog=LIST_EXAMPLE)(list_dead)
    group.command(name="replay", epilog=REPLAY_EXAMPLE)(replay)
    group.command(name="discard", epilog=DISCARD_EXAMPLE)(discard)
    app.add_typer(group, name="dead")


def list_dead(
    job: Annotated[int | None, typer.Argument(metavar="[JOB]", help="Of this job only.")] = None,
    limit: Annotated[
        int | None, typer.Option("-n", "--limit", min=1, metavar="N", help="How many; default: all.")
    ] = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """List the dead letters that stand: what was set aside, where it is, and why."""
    from workers.cli.opening import look

    letters = look(partial(_letters, job_id=job, limit=limit))
    fields = (*FIELDS, "detail") if output is options.OutputFormat.TABLE else FIELDS
    print_rows([{field: letter[field] for field in fields} for letter in letters], _columns(output), output)


def _letters(asker: Asker, job_id: int | None, limit: int | None) -> list[dict[str, Any]]:
    from storage import job_views

    if job_id is not None:
        # Raises `UsageError` when there is no such job.
        job_views.parameters(asker, job_id)
    return [{**letter, "job": letter["job_id"]} for letter in job_views.letters(asker, job_id, limit)]


def _columns(output: options.OutputFormat) -> tuple[Column, ...]:
    return COLUMNS if output is options.OutputFormat.TABLE else tuple(Column(field) for field in FIELDS)


def replay(job: options.JobArgument) -> None:
    """Run a job's dead letters again, each by itself; the results are added to the job's.

    A letter whose source has changed is refused: `hanmill run` or `submit` reads the source as it is now.
    """
    from storage.replay import replay as put_back
    from workers.cli.opening import dispatch_now, open_parts

    with open_parts() as parts:
        replayed = put_back(parts.engine, job)
        note(f"job {job}: {replayed.letters:,} dead letters run again")
        if replayed.letters:
            dispatch_now(parts, job)
    if replayed.refused:
        note(_refusal(replayed.refused))
        raise typer.Exit(EXIT_FAILED)


def _refusal(refused: Any) -> str:
    places = "; ".join(refused[:REFUSED_SHOWN])
    more = f" and {len(refused) - REFUSED_SHOWN:,} more" if len(refused) > REFUSED_SHOWN else ""
    return (
        f"hanmill: {len(refused):,} were refused, for their sources have changed since: {places}{more}. "
        "Run the same `hanmill run` or `hanmill submit` again: it reads the sources as they are now"
    )


def discard(job: options.JobArgument) -> None:
    """Accept the loss of a job's dead letters: they stand no more, and `run` ends with 0 in spite of them.

    The job stays DONE_WITH_DEAD, and its figures still count them as dead.
    """
    from storage.dead_letters import discard as accept
    from storage.engine import transact
    from storage.jobs import get
    from workers.cli.opening import open_parts

    def work(connection: Any) -> int:
        get(connection, job)
        return accept(connection, job)

    with open_parts() as parts:
        discarded = transact(parts.engine, work)
    note(f"job {job}: {discarded:,} dead letters are discarded")
