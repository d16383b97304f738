"""Sends what this process logs to a file, fields included: the terminal belongs to the progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: The packages whose log lines are ours.
PACKAGES = ("workers", "storage", "tasks")
#: What every record has; anything else is a field that the caller gave.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldFormatter(logging.Formatter):
    """Writes `2026-01-02 03:04:05 WARNING reconcile.leases_lapsed shards=3`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        """Return the line with its fields."""
        fields = [f"{name}={value!r}" for name, value in vars(record).items() if name not in _STANDARD]
        return " ".join([super().formatMessage(record), *fields])


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Have warnings and errors of our packages go to a file, and nowhere else, inside `with`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(FieldFormatter())
    handler.setLevel(logging.WARNING)
    loggers = [logging.getLogger(name) for name in PACKAGES]
    for logger in loggers:
        logger.addHandler(handler)
        logger.propagate = False
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(handler)
            logger.propagate = True
        handler.close()
