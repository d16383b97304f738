"""Log lines say what happened in a constant name, and to what in fields; no secret stands in them."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from pydantic import SecretStr

from workers.log_context import ContextFilter, inherited, log_fields, without_fields
from workers.logs import JsonFormatter, TextFormatter
from workers.settings import Settings


@pytest.fixture
def record() -> logging.LogRecord:
    """Return what `logger.info("shard.ended", extra=…)` makes."""
    made = logging.makeLogRecord({"msg": "shard.ended", "levelname": "INFO", "created": 0.0, "name": "workers"})
    made.__dict__.update({"job": 3, "shard": 17, "reason": "中文 原因"})
    return made


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Return what a handler such as a worker's writes of the loggers `workers.x` and `library.x`."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(ContextFilter())
    loggers = [logging.getLogger(name) for name in ("workers.x", "library.x")]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield stream
    for logger in loggers:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)


def written(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


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


def test_a_library_s_line_has_its_logger_for_event_and_its_sentence_in_a_field() -> None:
    record = logging.makeLogRecord({"msg": "Task %s received", "args": ("x",), "name": "celery.worker.strategy"})
    line = json.loads(JsonFormatter().format(record))
    assert (line["event"], line["message"]) == ("celery.worker.strategy", "Task x received")
    assert TextFormatter().format(record).endswith(" celery.worker.strategy message=Task x received")


def test_lines_of_libraries_and_of_threads_carry_the_shard_that_runs(lines: io.StringIO) -> None:
    with log_fields(job=3, shard=17, attempt=2):
        logging.getLogger("library.x").info("slow")
        thread = threading.Thread(target=inherited(partial(logging.getLogger("workers.x").info, "heartbeat.failed")))
        thread.start()
        thread.join()
    logging.getLogger("workers.x").info("job.advanced")
    inside = {"job": 3, "shard": 17, "attempt": 2}
    of_library, of_thread, outside = written(lines)
    assert {name: of_library[name] for name in inside} == inside
    assert {name: of_thread[name] for name in inside} == inside
    assert not inside.keys() & outside.keys()


def test_what_a_line_says_itself_stands(lines: io.StringIO) -> None:
    with log_fields(job=3, shard=17), without_fields("shard", shards=2):
        logging.getLogger("workers.x").info("shard.ended", extra={"shard": 18})
        logging.getLogger("workers.x").info("batch.ended")
    of_shard, of_batch = written(lines)
    assert (of_shard["job"], of_shard["shard"]) == (3, 18)
    assert (of_batch["shards"], "shard" in of_batch) == (2, False)


@pytest.mark.parametrize("formatter", [TextFormatter, JsonFormatter])
def test_no_secret_stands_in_a_line_or_its_traceback(formatter: type[TextFormatter | JsonFormatter]) -> None:
    settings = Settings(
        database_url='postgresql://mill:p%40ss"word@db/hanmill?password=second-secret',
        broker_url="redis://:queue-secret@queue:6379/0",
        endpoint_key=SecretStr("key-of-the-endpoint"),
    )
    message = f'{settings.database_url} p@ss"word {settings.broker_url} queue-secret redis://:short@other/0'
    error = RuntimeError(message + " key-of-the-endpoint second-secret")
    fields = {"msg": "x %s", "args": (message,), "name": "kombu", "exc_info": (RuntimeError, error, None)}
    record = logging.makeLogRecord(fields)
    line = formatter(settings.secrets).format(record)
    for secret in ("p@ss", "p%40ss", "word@", "queue-secret", "second-secret", "key-of-the-endpoint", "short"):
        assert secret not in line
    assert "redis://:***@queue:6379/0" in line
