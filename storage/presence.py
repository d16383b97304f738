"""Which workers are up: each says so in Redis from time to time, and what it said is forgotten when it falls silent.

An operator's hint, by Redis's own clock; no shard is given or taken because of it. RabbitMQ counts consumers itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import redis

from storage.broker_state import client_url
from storage.errors import TransientError
from storage.redis_keys import WORKER_PREFIX

#: Seconds that Redis has for an answer; a worker's main loop waits for it.
TIMEOUT_S = 3.0
#: Seconds for which a worker that says nothing more counts as up.
KEPT_S = 60


class Presence:
    """What the workers of one Redis say of themselves."""

    def __init__(self, broker_url: str) -> None:
        url = client_url(broker_url)
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def announce(self, worker: str, queues: Iterable[str]) -> None:
        """Say that a worker is up and which queues it consumes; raises `TransientError` when Redis is away."""
        try:
            self._client.set(WORKER_PREFIX + worker, json.dumps(sorted(queues)), ex=KEPT_S)
        except redis.RedisError as error:
            message = f"the broker does not answer: {error}"
            raise TransientError(message) from error

    def withdraw(self, worker: str) -> None:
        """Say that a worker is up no more; where Redis is away, it forgets by itself."""
        with suppress(redis.RedisError):
            self._client.delete(WORKER_PREFIX + worker)

    def workers_by_queue(self) -> dict[str, int]:
        """Return how many workers consume each queue; raises `TransientError` when Redis is away."""
        try:
            keys = list(self._client.scan_iter(f"{WORKER_PREFIX}*", count=1000))
            values = cast("list[Any]", self._client.mget(keys)) if keys else []
        except redis.RedisError as error:
            message = f"the broker does not answer: {error}"
            raise TransientError(message) from error
        return dict(Counter(queue for value in values if value is not None for queue in json.loads(value)))
