"""What Redis says of the queue, for the reconciler and the doctor: its epoch, how much waits, how it is set up.

Sends no message and fetches none; kombu does. RabbitMQ keeps its queues itself and needs no such look.
"""

from __future__ import annotations

import secrets
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import redis

from storage.errors import TransientError
from storage.redis_keys import EPOCH, UNACKED

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Seconds after which a Redis that does not answer is taken for away.
TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class BrokerHealth:
    """How a Redis is set up, as far as a queue depends on it."""

    version: str
    eviction_policy: str
    persistent: bool
    used_memory_bytes: int
    maxmemory_bytes: int


def client_url(broker_url: str) -> str:
    """Return a broker's address as redis-py writes it; kombu has its own way to name a unix socket."""
    return broker_url.replace("redis+socket://", "unix://", 1).replace("virtual_host=", "db=", 1)


class RedisState:
    """A look into one Redis."""

    def __init__(self, broker_url: str) -> None:
        url = client_url(broker_url)
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def epoch(self) -> str | None:
        """Return the mark that stands as long as Redis forgets nothing."""
        with _reachable():
            value = cast("bytes | None", self._client.get(EPOCH))
        return value.decode() if value is not None else None

    def begin_epoch(self) -> str:
        """Set a new mark and return it."""
        mark = secrets.token_hex(8)
        with _reachable():
            self._client.set(EPOCH, mark)
        return mark

    def waiting(self, queue: str) -> int:
        """Return how many messages stand in a queue."""
        with _reachable():
            return self._client.llen(queue)

    def held(self) -> int:
        """Return how many messages workers hold unacknowledged, of all queues."""
        with _reachable():
            return self._client.hlen(UNACKED)

    def health(self) -> BrokerHealth:
        """Return how this Redis is set up."""
        with _reachable():
            info = cast("dict[str, object]", self._client.info())
        return BrokerHealth(
            version=str(info.get("redis_version", "?")),
            eviction_policy=str(info.get("maxmemory_policy", "?")),
            persistent=bool(info.get("aof_enabled")) or self._has_save_points(),
            used_memory_bytes=int(cast("int", info.get("used_memory", 0))),
            maxmemory_bytes=int(cast("int", info.get("maxmemory", 0))),
        )

    def _has_save_points(self) -> bool:
        try:
            with _reachable():
                return bool(cast("dict[str, str]", self._client.config_get("save")).get("save"))
        except redis.ResponseError:
            # A hosted Redis may forbid CONFIG; then nothing is known against it.
            return True


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        message = f"the broker does not answer: {error}"
        raise TransientError(message) from error
