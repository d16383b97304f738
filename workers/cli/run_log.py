"""Sends what this process logs to a file, fields included: the terminal belongs to the progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers.logs import TextFormatter

#: The packages whose log lines are ours.
PACKAGES = ("workers", "storage", "tasks")


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Have warnings and errors of our packages go to a file, and nowhere else, inside `with`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = logging.FileHandler(path, encoding="utf-8", delay=True)
    handler.setFormatter(TextFormatter())
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
