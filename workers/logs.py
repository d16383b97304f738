"""How log lines look: readable text or JSON, the event's constant name first, what it is about in fields.

Our own lines are an event (`shard.ended`) and fields. A library's line has the library's logger for its event
(`celery.worker.consumer.consumer`), and its sentence stands in the field `message`. Whatever a line says, and a
traceback below it, the secrets of the settings do not stand in it.
"""

from __future__ import annotations

import json
import logging
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from workers.log_context import ContextFilter
from workers.settings import SHORTEST_LITERAL, mask

#: The packages whose lines are events with fields.
PACKAGES = ("workers", "storage", "tasks")
#: What every record has, and what Celery hangs on its own; everything else was given as a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given with a log line besides its event."""
    fields = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return fields if is_ours(record) else {"message": record.getMessage(), **fields}


def is_ours(record: logging.LogRecord) -> bool:
    """Say whether a line is an event of our own, not a sentence of a library."""
    return record.name.partition(".")[0] in PACKAGES


def event_of(record: logging.LogRecord) -> str:
    """Return what happened, as a name that never changes."""
    return str(record.msg) if is_ours(record) else record.name


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _MaskingFormatter(logging.Formatter, ABC):
    """Makes a line and masks in it the passwords of addresses, and some secrets wherever they stand."""

    def __init__(self, secrets: Sequence[str] = ()) -> None:
        super().__init__()
        long_enough = [secret for secret in secrets if len(secret) >= SHORTEST_LITERAL]
        # As JSON writes them too; the longest first, or what is left of one would betray it.
        spellings = {form for secret in long_enough for form in (secret, json.dumps(secret, ensure_ascii=False)[1:-1])}
        self._secrets = sorted(spellings, key=len, reverse=True)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, fit to be shown."""
        line = mask(self.line(record))
        for secret in self._secrets:
            line = line.replace(secret, "***")
        return line

    @abstractmethod
    def line(self, record: logging.LogRecord) -> str:
        """Return the line as it is."""

    def trace(self, record: logging.LogRecord) -> str:
        """Return the traceback that belongs to a line, empty where there is none."""
        return self.formatException(record.exc_info) if record.exc_info else ""


class TextFormatter(_MaskingFormatter):
    """`2026-11-21T01:30:00.000+00:00 INFO worker/4711 shard.ended job=3 shard=17 attempt=1`."""

    def line(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        line = f"{_instant(record)} {record.levelname} {record.processName}/{record.process} {event_of(record)}"
        trace = self.trace(record)
        return line + fields + (f"\n{trace}" if trace else "")


class JsonFormatter(_MaskingFormatter):
    """One JSON object a line."""

    def line(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "process": f"{record.processName}/{record.process}",
            "event": event_of(record),
            **fields_of(record),
        }
        if trace := self.trace(record):
            line["traceback"] = trace
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(log_format: Literal["text", "json"], level: int | str, secrets: Sequence[str] = ()) -> None:
    """Send every log line of this process to stderr in one form, warnings of Python too, without the secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(secrets) if log_format == "json" else TextFormatter(secrets))
    handler.addFilter(ContextFilter())
    logging.captureWarnings(capture=True)
    logging.basicConfig(level=level, handlers=[handler], force=True)
