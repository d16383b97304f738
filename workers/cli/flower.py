"""`hanmill flower`: becomes Flower, the web page on which an operator sees workers, tasks and queues."""

from __future__ import annotations

import os
import socket
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli.output import note

if TYPE_CHECKING:
    from workers.settings import Settings

EXAMPLE = "Example: hanmill flower --port 5555"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(flower)


def flower(
    address: Annotated[str, typer.Option("--address", metavar="ADDRESS", help="To listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, metavar="PORT", help="To listen on.")] = 5555,
    read_only: Annotated[
        bool, typer.Option("--read-only/--writable", help="Whether the page can stop workers and revoke tasks.")
    ] = True,
    url_prefix: Annotated[
        str | None, typer.Option("--url-prefix", metavar="PATH", help="Where a proxy shows it, for example flower.")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option("--certificate", metavar="FILE", help="PEM; with --key, for https.")
    ] = None,
    key: Annotated[Path | None, typer.Option("--key", metavar="FILE", help="PEM; of the certificate.")] = None,
) -> None:
    """Show workers, tasks and queues as a web page, to those who have a password.

    HANMILL_FLOWER_USERS names them. Where it is not set, Flower listens on this machine only, for the user hanmill
    with a password that it makes and keeps in the home; on any other address it refuses. The page shows what passes
    through the queue; what stands in the ledger is shown by `hanmill jobs` and `hanmill status`.
    """
    from workers.settings import load_settings

    if find_spec("flower") is None:
        message = "Flower is not installed: pip install 'hanmill[ops]'"
        raise UsageError(message)
    settings = load_settings()
    _check_access(settings, address)
    _find_broker(settings)
    _check_free(address, port)
    os.execv(*_program([*_https(certificate, key), *_page(address, port, url_prefix, read_only=read_only)]))  # noqa: S606 - our own interpreter


def _check_access(settings: Settings, address: str) -> None:
    """Say what Celery's command would say less plainly, and who may log in."""
    from workers.flower.access import DEFAULT_USER, password_file, users

    users(settings, address)
    if not settings.flower_users.get_secret_value():
        note(f"hanmill: log in as {DEFAULT_USER} with the password in {password_file(settings)}")


def _find_broker(settings: Settings) -> None:
    """Where no broker is set, look at the one of the `hanmill run` that goes on in this home."""
    from workers.embedded import RunFile

    found = None if "broker_url" in settings.model_fields_set else RunFile(settings.home).broker_url()
    if found is not None:
        note("hanmill: showing the `hanmill run` that goes on here, until it ends")
        os.environ["HANMILL_BROKER_URL"] = found  # noqa: TID251 - set, not read: Flower reads it


def _check_free(address: str, port: int) -> None:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        message = f"Flower cannot listen on {address}:{port} ({error.strerror}); name others by --address and --port"
        raise UsageError(message) from error


def _https(certificate: Path | None, key: Path | None) -> list[str]:
    if (certificate is None) != (key is None):
        message = "https needs both --certificate and --key"
        raise UsageError(message)
    if certificate is None or key is None:
        return []
    for path in (certificate, key):
        if not os.access(path, os.R_OK):
            message = f"{path} cannot be read"
            raise UsageError(message)
    return [f"--certfile={certificate.absolute()}", f"--keyfile={key.absolute()}"]


def _page(address: str, port: int, url_prefix: str | None, *, read_only: bool) -> list[str]:
    prefix = [f"--url_prefix={url_prefix}"] if url_prefix else []
    return [f"--address={address}", f"--port={port}", f"--read_only={read_only}", *prefix]


def _program(options: list[str]) -> tuple[str, list[str]]:
    from workers.cli.session import celery_command

    configuration = Path(__file__).parents[1] / "flower" / "flowerconfig.py"
    # Its log lines are ours, see `workers.flower.start`.
    command = [*celery_command("flower"), f"--conf={configuration}", "--logging=none", *options]
    return command[0], command
