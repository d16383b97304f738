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
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help="gpu: summarize, classify. cpu: the others.")],
    concurrency: Annotated[
        int | None,
        typer.Option(
            "--concurrency", "-c", min=1, metavar="N", help="Processes; default: one a core, or one a device for gpu."
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(
            "--device", metavar="DEVICE", help="For gpu: auto (every GPU, or the CPU), cpu, cuda:0, or cuda:0,cuda:1."
        ),
    ] = None,
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Unique on this machine.", show_default=True)
    ] = "worker",
) -> None:
    """Work on what is submitted, until it is told to end.

    Ctrl-C or SIGTERM lets it finish what it has begun. `celery -A workers.app worker …` works as well.
    """
    from workers.cli.opening import open_parts
    from workers.cli.session import model_worker_command, worker_command
    from workers.cores import available_cores

    if kind is Kind.CPU and device is not None:
        message = "--device is for `hanmill worker gpu`; counting and tokenizing use the CPU"
        raise UsageError(message)
    with open_parts() as parts:
        nodename, level = f"{name}@%h", parts.settings.log_level
        if kind is Kind.CPU:
            command = worker_command(nodename, concurrency or available_cores(), level)
        else:
            setting = device or parts.settings.device
            command = model_worker_command(nodename, concurrency or len(_devices(setting)), level)
            # The pool makes its processes anew; they read the device from there.
            os.environ["HANMILL_DEVICE"] = setting  # noqa: TID251 - set, not read
    _become(command)


def _devices(setting: str) -> list[str]:
    try:
        from workers.device import list_devices
    except ModuleNotFoundError as error:
        message = f"model workers need PyTorch, and {error.name} is not installed: pip install 'hanmill[models]'"
        raise UsageError(message) from error
    return list_devices(setting)


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
