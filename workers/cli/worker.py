"""`hanmill worker` and `hanmill beat`: become a process of Celery, after a look at whether it could work at all."""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from storage.errors import UsageError

WORKER_EXAMPLE = "Example: hanmill worker cpu --concurrency 8 --name mill1"
BEAT_EXAMPLE = "Example: hanmill beat"


class Kind(StrEnum):
    """What a worker works with."""

    CPU = "cpu"
    GPU = "gpu"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=WORKER_EXAMPLE)(worker)
    app.command(epilog=BEAT_EXAMPLE)(beat)


def worker(
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="cpu: count, tokenize. (gpu comes with the models.)")],
    concurrency: Annotated[
        int | None, typer.Option("--concurrency", "-c", min=1, metavar="N", help="Processes; default: one a core.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Unique on this machine.", show_default=True)
    ] = "worker",
) -> None:
    """Work on what is submitted, until it is told to end.

    Ctrl-C or SIGTERM lets it finish what it has begun. `celery -A workers.app worker …` works as well.
    """
    from workers.cli.opening import open_parts
    from workers.cli.ordering import available_cores
    from workers.cli.session import worker_command

    if kind is Kind.GPU:
        message = "this version has no GPU workers; nothing that it does needs one. Start `hanmill worker cpu`"
        raise UsageError(message)
    with open_parts() as parts:
        command = worker_command(f"{name}@%h", concurrency or available_cores(), parts.settings.log_level)
    _become(command)


def beat() -> None:
    """Ask for a pass of the reconciler from time to time, where no worker is up to do it.

    Every worker does so too; any number of beats does no harm.
    """
    from workers.cli.opening import open_parts
    from workers.cli.session import celery_command

    with open_parts() as parts:
        command = [*celery_command("beat"), "--loglevel", parts.settings.log_level]
    _become(command)


def _become(command: list[str]) -> None:
    # Not a child: signals, exit codes and a supervisor's pid file mean the very process that works.
    os.execv(command[0], command)  # noqa: S606 - our own interpreter
