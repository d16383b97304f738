"""The exporter from start to end: builds its parts from the settings, and serves until it is told to end."""

from __future__ import annotations

import logging
import os
import signal
import threading

from storage.engine import open_engine
from workers.exporter.collector import HanmillCollector
from workers.exporter.reading import Part
from workers.exporter.server import make_server
from workers.exporter.sources import LedgerSource, broker_source
from workers.settings import Settings, mask

logger = logging.getLogger(__name__)

#: Seconds that PostgreSQL has to take a connection.
CONNECT_TIMEOUT_S = 3


def make_collector(settings: Settings) -> HanmillCollector:
    """Return the metrics of a deployment; connects to nothing yet."""
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_TIMEOUT_S))  # noqa: TID251 - set, not read
    ledger = LedgerSource(settings, open_engine(settings.sql_url))
    return HanmillCollector(
        Part("ledger", ledger.read), Part("history", ledger.read_history), Part("broker", broker_source(settings).read)
    )


def serve(settings: Settings, address: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C; raises `UsageError` when it cannot listen."""
    server = make_server(address, port, make_collector(settings))

    def stop(*_: object) -> None:
        # Not from here: `shutdown` waits for the loop, which this handler has interrupted.
        threading.Thread(target=server.shutdown, daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    facts = {"address": address, "port": server.server_port, "database": mask(settings.sql_url)}
    logger.info("exporter.started", extra=facts)
    with server:
        server.serve_forever(poll_interval=0.2)
    logger.info("exporter.ended")
