"""`hanmill verify JOB`: computes shards again, serially and by the reference, and compares what the database holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from workers.cli import options
from workers.cli.edge import EXIT_DEAD, EXIT_FAILED
from workers.cli.output import Column, note, number, print_json, print_rows, print_table

if TYPE_CHECKING:
    from workers.verification.report import Report

EXAMPLE = "Example: hanmill verify 3 --shards 50 --seed 7"
#: Shards that are computed again unless more are asked for.
SHARDS = 10
#: Differences, and things left out, that a table shows.
SHOWN = 50
#: The largest seed that is drawn where none is given.
LARGEST_SEED = 2**32 - 1
COMPARED_COLUMNS = (Column("what", "compared"), number("number"))
DIFFERENCE_COLUMNS = (
    Column("what", "differs"),
    Column("shard", right=True),
    Column("document"),
    Column("word"),
    Column("stored"),
    Column("recomputed"),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(verify)


def verify(
    job: options.JobArgument,
    shards: Annotated[
        int, typer.Option("--shards", min=1, metavar="N", help="How many, chosen at random by the seed.")
    ] = SHARDS,
    everything: Annotated[bool, typer.Option("--all", help="Every shard of the job.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, metavar="N", help="Chooses the same shards again; default: drawn.")
    ] = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Compute some shards of a job again and compare: jieba itself for tokens, the same model a text at a time.

    The sums of the whole job are compared too, whatever the sample. A source that has changed since is named and is no
    difference. Exit code 1 for differences, and where nothing could be compared; 3 for standing dead letters.
    """
    import secrets

    from workers.cli.opening import open_parts
    from workers.verification.job import nothing_compared, verify_job

    chosen = secrets.randbelow(LARGEST_SEED + 1) if seed is None else seed
    with open_parts() as parts:
        report = verify_job(parts, job, None if everything else shards, chosen)
    _print(report, output)
    if report.found:
        note(f"hanmill: job {job}: {report.found:,} differences")
        raise typer.Exit(EXIT_FAILED)
    if nothing_compared(report):
        note(f"hanmill: job {job}: no shard could be compared")
        raise typer.Exit(EXIT_FAILED)
    if report.standing_dead:
        note(f"hanmill: job {job}: {report.standing_dead:,} dead letters stand; see hanmill dead {job}")
        raise typer.Exit(EXIT_DEAD)


def _print(report: Report, output: options.OutputFormat) -> None:
    if output is options.OutputFormat.JSON:
        print_json(report.as_json())
    elif output is options.OutputFormat.CSV:
        print_rows(report.as_json()["differences"], DIFFERENCE_COLUMNS, output)
    else:
        _print_tables(report)


def _print_tables(report: Report) -> None:
    typer.echo(
        f"job {report.job}: {report.operation} over {report.corpus}, {report.compared['shards']:,} of "
        f"{report.shards:,} shards (--seed {report.seed})"
        + (f", scores within {report.tolerance:g}" if report.tolerance else "")
    )
    compared = [{"what": what, "number": times} for what, times in sorted(report.compared.items()) if times]
    print_table(compared, COMPARED_COLUMNS, title="")
    if report.left_out:
        _print_list("not compared", report.left_out)
    if report.differences:
        rows = report.as_json()["differences"]
        print_table(rows[:SHOWN], DIFFERENCE_COLUMNS, title=f"{report.found:,} differences")
        if report.found > SHOWN:
            typer.echo(f"and {report.found - SHOWN:,} more; --format json has the first {len(rows):,}")
    else:
        typer.echo("\nno differences")


def _print_list(title: str, lines: list[str]) -> None:
    typer.echo(f"\n{title}")
    for line in lines[:SHOWN]:
        typer.echo(line)
    if len(lines) > SHOWN:
        typer.echo(f"and {len(lines) - SHOWN:,} more")
