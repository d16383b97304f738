"""`hanmill exporter`: the process that Prometheus asks how everything stands."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Annotated

import typer

from storage.errors import UsageError

EXAMPLE = "Example: hanmill exporter --port 9808"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(exporter)


def exporter(
    address: Annotated[str, typer.Option("--address", metavar="ADDRESS", help="To listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, metavar="PORT", help="To listen on.")] = 9808,
) -> None:
    """Show Prometheus how everything stands: /metrics, and /-/healthy for probes.

    One is enough for a deployment; it reads the ledger and the broker and changes nothing. It asks for no password and
    shows names of corpora and schedules, so that --address should name nothing that strangers reach. While the
    database or the broker is away it says so and shows the rest.
    """
    if find_spec("prometheus_client") is None:
        message = "prometheus-client is not installed: pip install 'hanmill[ops]'"
        raise UsageError(message)
    from workers.exporter.run import serve
    from workers.logs import configure_logging
    from workers.settings import load_settings

    settings = load_settings()
    configure_logging(settings.log_format, settings.log_level, settings.secrets)
    serve(settings, address, port)
