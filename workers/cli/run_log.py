"""Sends what this process logs to a file, fields included: the terminal belongs to the progress."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workers.logs import PACKAGES, TextFormatter


class _QuietFile(logging.FileHandler):
    """A log file on a disk that may be full."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Lose the line: a traceback on the terminal would tell the user nothing that the display does not."""


@contextmanager
def logging_to(path: Path, secrets: Sequence[str] = ()) -> Iterator[None]:
    """Have warnings and errors of our packages go to a file, without some secrets, and nowhere else, inside `with`."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handler = _QuietFile(path, encoding="utf-8", delay=True)
    handler.setFormatter(TextFormatter(secrets))
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
