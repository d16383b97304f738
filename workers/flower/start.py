"""What Flower's process needs of ours when it starts: log lines in our form, and the ledger to ask for names."""

from __future__ import annotations

import logging
import os

from celery import Celery

from storage.engine import open_engine
from workers.flower.task_words import TaskWords
from workers.logs import configure_logging
from workers.settings import Settings

#: Seconds that PostgreSQL has to answer: Flower's pages wait for it.
CONNECT_TIMEOUT_S = 3


def speak(settings: Settings) -> None:
    """Write log lines in the form of all processes."""
    configure_logging(settings.log_format, settings.log_level, settings.secrets)
    # At DEBUG it writes its cookie secret.
    logging.getLogger("flower.command").setLevel(logging.INFO)


def share_certificates(app: Celery) -> None:
    """Let Flower's own look into the queues trust what the broker's address names: it reads no `?ssl_ca_certs=`."""
    with app.connection_for_read() as connection:
        if isinstance(connection.ssl, dict):
            app.conf.broker_use_ssl = connection.ssl


def open_words(settings: Settings) -> TaskWords:
    """Return what names tasks; without the ledger when there is none yet."""
    if not settings.database_url and not (settings.home.absolute() / "hanmill.db").exists():
        # Asking SQLite would make the file.
        return TaskWords(None)
    os.environ.setdefault("PGCONNECT_TIMEOUT", str(CONNECT_TIMEOUT_S))  # noqa: TID251 - set, not read
    return TaskWords(open_engine(settings.sql_url))
