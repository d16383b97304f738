"""`hanmill probe live|ready`: the health of one process on this machine, by exit code, for supervisors."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

# Neither the settings nor a library is imported: a supervisor asks every few seconds.
from workers.cli.edge import EXIT_FAILED
from workers.probe import STALE_S, ProbeFiles, probe_url

EXAMPLE = "Example: hanmill probe ready --name mill1"

#: Seconds within which an exporter or a Flower must answer.
ANSWER_S = 5.0


class Question(StrEnum):
    """What is asked."""

    LIVE = "live"
    READY = "ready"


class Kind(StrEnum):
    """What is asked about."""

    WORKER = "worker"
    BEAT = "beat"
    EXPORTER = "exporter"
    FLOWER = "flower"


#: Where those that speak HTTP say how they are, unless told otherwise.
URLS = {Kind.EXPORTER: "http://127.0.0.1:9808/-/healthy", Kind.FLOWER: "http://127.0.0.1:5555/healthcheck"}


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(probe)


def probe(
    question: Annotated[
        Question,
        typer.Argument(metavar="live|ready", help="live: its loop goes round. ready: it is connected and works too."),
    ],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="As the process is called; default: its kind.")
    ] = None,
    kind: Annotated[Kind, typer.Option("--kind", help="What the process is.")] = Kind.WORKER,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Of an exporter's or Flower's health, if not the usual.")
    ] = None,
    stale_s: Annotated[
        float, typer.Option("--stale-s", min=1.0, metavar="SECONDS", help="A sign of life may be so old.")
    ] = STALE_S,
    home: Annotated[
        Path, typer.Option("--home", envvar="HANMILL_HOME", metavar="DIRECTORY", help="Of the process.")
    ] = Path(".hanmill"),
) -> None:
    """Say whether one process on this machine is well: exit code 0, or 1 and the reason in one line.

    Nothing is sent to the process and nothing to the broker. A worker that computes for hours is live and ready; one
    that waits for a broker that is away is live, and not ready.
    """
    if kind in URLS:
        verdict = probe_url(url or URLS[kind], ANSWER_S)
    else:
        files = ProbeFiles(home.absolute(), name or kind.value)
        verdict = files.live(stale_s) if question is Question.LIVE else files.is_ready(stale_s)
    if not verdict.healthy:
        typer.echo(f"hanmill: {verdict.reason}", err=True)
        raise typer.Exit(EXIT_FAILED)
