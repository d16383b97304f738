"""Log lines say what happened in a constant name, and to what in fields."""

from __future__ import annotations

import json
import logging

import pytest

from workers.logs import JsonFormatter, TextFormatter


@pytest.fixture
def record() -> logging.LogRecord:
    """Return what `logger.info("shard.ended", extra=…)` makes."""
    made = logging.makeLogRecord({"msg": "shard.ended", "levelname": "INFO", "created": 0.0, "name": "workers"})
    made.__dict__.update({"job": 3, "shard": 17, "reason": "中文 原因"})
    return made


def test_a_text_line_ends_with_its_fields(record: logging.LogRecord) -> None:
    line = TextFormatter().format(record)
    assert line.startswith("1970-01-01T00:00:00.000+00:00 INFO ")
    assert line.endswith("shard.ended job=3 shard=17 reason=中文 原因")


def test_a_json_line_can_be_read_back(record: logging.LogRecord) -> None:
    line = json.loads(JsonFormatter().format(record))
    assert {name: line[name] for name in ("event", "job", "shard", "reason", "level")} == {
        "event": "shard.ended",
        "job": 3,
        "shard": 17,
        "reason": "中文 原因",
        "level": "INFO",
    }
