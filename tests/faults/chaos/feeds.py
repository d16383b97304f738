"""Gives a schedule's documents to the mill, in one of the ways that there are; a producer that dies is run again.

What refuses because the world is not ready is tried again, as its user would: the promise begins when it was taken.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import func, select, update

from storage import schedules
from storage.engine import reading, transact
from storage.errors import HanmillError
from storage.redis_keys import QUEUE_CONTROL
from storage.schema import corpora, documents
from storage.schema import schedules as schedule_table
from tests.faults.chaos.stage import Stage, Struck
from workers.producer import Producer
from workers.schedule_order import Timing, add_schedule
from workers.submit import Order
from workers.task_names import INGEST

#: Calls, or messages, that the documents come in.
PARTS = 4
#: Seconds between two tries, and until the producer gives up.
AGAIN_S, PATIENCE_S = 0.3, 60.0
#: Options of the operations.
OPTIONS: dict[str, dict[str, Any]] = {"summarize": {"backend": "textrank", "length": "short"}}


class NotTakenError(Exception):
    """The mill did not take the documents in all the time that it had."""


def key_of(number: int) -> str:
    """Return the key of a document by its place."""
    return f"{number:04d}"


def feed(stage: Stage, corpus: str) -> list[Struck]:
    """Give all documents; return the faults of producers that were seen."""
    path = stage.arena.home / f"{corpus}.jsonl"
    rows = [{"key": key_of(number), "text": text} for number, text in enumerate(stage.schedule.texts)]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    match stage.schedule.feed:
        case "submit":
            return _submit(stage, corpus, path)
        case "enqueue":
            _enqueue(stage, corpus, rows)
        case "schedule":
            _schedule(stage, corpus, path)
        case "ingest":
            _ingest(stage, corpus, rows)
        case _:
            _files(stage, corpus, path)
    return []


def _until_taken(stage: Stage, give: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not stage.over.is_set():
        try:
            give()
        except (HanmillError, OperationalError, OSError) as error:
            if time.monotonic() > deadline:
                raise NotTakenError(str(error)) from error
            time.sleep(AGAIN_S)
        else:
            return


def _files(stage: Stage, corpus: str, path: Path) -> None:
    from storage.sources import ListingOptions  # noqa: PLC0415 - beside its use

    for operation in stage.schedule.operations:
        options = OPTIONS.get(operation, {})
        order = {"operations": [operation], "options": options, "shard_bytes": stage.schedule.shard_bytes}
        listing = ListingOptions(key_field="key")
        _until_taken(stage, lambda: stage.arena.deployment.submit([path], corpus, listing=listing, **order))  # noqa: B023


def _schedule(stage: Stage, corpus: str, path: Path) -> None:
    """Have a schedule do it that is due now, once, and wait until its run has made its job."""
    from storage.sources import ListingOptions  # noqa: PLC0415 - beside its use

    options = ListingOptions(key_field="key")
    order = Order(corpus, [str(path)], stage.schedule.operations, {}, options, stage.schedule.shard_bytes)
    parts = stage.arena.deployment.parts
    schedule_id = add_schedule(parts, order, Timing(corpus, "* * * * *", "UTC"))
    # The minute that has begun: whoever looks next finds it due.
    due = update(schedule_table).where(schedule_table.c.id == schedule_id).values(next_at=time.time() // 60 * 60)
    transact(parts.engine, lambda connection: connection.execute(due).rowcount)
    deadline = time.monotonic() + PATIENCE_S
    while not stage.watch.views and not stage.over.is_set():
        if time.monotonic() > deadline:
            message = "the schedule did not start"
            raise NotTakenError(message)
        time.sleep(AGAIN_S)
    transact(parts.engine, lambda connection: schedules.pause(connection, corpus))


def _submit(stage: Stage, corpus: str, path: Path) -> list[Struck]:
    """Submit by the command; a second producer at the same time, and a killed one's next try, where it is planned."""
    at_once = 2 if any(one.kind == "two_producers" for one in stage.schedule.strikes) else 1
    seen = []
    for operation in stage.schedule.operations:
        options = OPTIONS.get(operation, {})
        named = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        command = ["submit", str(path), "--corpus", corpus, "--do", operation, "--key-field", "key", *named]
        command += ["--shard-bytes", str(stage.schedule.shard_bytes)]
        deadline = time.monotonic() + PATIENCE_S
        codes = [1]
        while any(codes) and not stage.over.is_set() and time.monotonic() < deadline:
            began = time.time()
            processes = [stage.arena.start(*command, log="submit") for _ in range(at_once)]
            both_run = all(process.poll() is None for process in processes)
            codes = [_ended(process) for process in processes]
            if at_once == 2 and both_run and codes == [0, 0]:
                seen.append(Struck("two_producers", began, f"pids {[process.pid for process in processes]}"))
        if any(codes):
            message = f"submit ended with {codes}"
            raise NotTakenError(message)
    return seen[:1]


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def _enqueue(stage: Stage, corpus: str, rows: list[dict[str, str]]) -> None:
    with Producer(stage.arena.deployment.settings) as producer:
        for part in range(PARTS):
            _until_taken(stage, lambda: producer.enqueue(rows[part::PARTS], corpus=corpus))  # noqa: B023


def _ingest(stage: Stage, corpus: str, rows: list[dict[str, str]]) -> None:
    with Celery(broker=stage.arena.redis.url, set_as_current=False) as client:
        for part in range(PARTS):
            message = {"corpus": corpus, "documents": rows[part::PARTS], "operations": ["count"]}
            _until_taken(
                stage,
                lambda: client.send_task(INGEST, kwargs=message, queue=QUEUE_CONTROL, ignore_result=True, retry=False),  # noqa: B023
            )
    # The promise starts when ingest commits; until then the message is what there is of them.
    deadline = time.monotonic() + PATIENCE_S
    while _stored(stage, corpus) < len(rows) and not stage.over.is_set():
        if time.monotonic() > deadline:
            reason = f"{_stored(stage, corpus)} of {len(rows)} documents were ingested"
            raise NotTakenError(reason)
        time.sleep(AGAIN_S)


def _stored(stage: Stage, corpus: str) -> int:
    counted = select(func.count()).select_from(documents).join(corpora).where(corpora.c.name == corpus)
    with suppress(HanmillError), reading(stage.arena.deployment.parts.engine) as connection:
        return connection.scalar(counted) or 0
    return 0
