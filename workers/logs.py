"""How log lines look: readable text or JSON, the event's constant name first, what it is about in fields."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Literal

#: What every record has; everything else was given as a field.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "data"}


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what was given with a log line besides its event."""
    return {name: value for name, value in vars(record).items() if name not in _STANDARD}


def _instant(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class TextFormatter(logging.Formatter):
    """`2026-11-21T01:30:00.000+00:00 INFO worker/4711 shard.ended job=3 shard=17 attempt=1`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with the traceback below it if there is one."""
        fields = "".join(f" {name}={value}" for name, value in fields_of(record).items())
        line = f"{_instant(record)} {record.levelname} {record.processName}/{record.process} {record.getMessage()}"
        return line + fields + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line = {
            "time": _instant(record),
            "level": record.levelname,
            "logger": record.name,
            "process": f"{record.processName}/{record.process}",
            "event": record.getMessage(),
            **fields_of(record),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


def configure_logging(log_format: Literal["text", "json"], level: int | str) -> None:
    """Send every log line of this process to stderr in one form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
