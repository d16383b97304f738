"""What Redis says of the queue, for the reconciler and the doctor: its epoch, how much waits, how it is set up.

Sends no message and fetches none; kombu does. RabbitMQ keeps its queues itself and needs no such look.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import redis

from storage.errors import TransientError
from storage.redis_keys import EPOCH, QUEUE_CONTROL, SHARD_HEADER, UNACKED, UNACKED_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: Seconds after which a Redis that does not answer is taken for away.
TIMEOUT_S = 5.0
#: A larger message carries texts; all others carry ids.
SMALL_MESSAGE_BYTES = 16 * 1024


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

    def in_flight(self) -> dict[str, int]:
        """Return how many messages of each queue were fetched and are not acknowledged."""
        with _reachable():
            tags = cast("list[bytes]", self._client.hkeys(UNACKED))
            sizes = self._client.pipeline(transaction=False)
            for tag in tags:
                sizes.hstrlen(UNACKED, tag)
            sized = list(zip(tags, sizes.execute(), strict=True))
            small = [tag for tag, size_bytes in sized if size_bytes <= SMALL_MESSAGE_BYTES]
            held = cast("list[bytes | None]", self._client.hmget(UNACKED, small)) if small else []
        found = Counter(_queue_of(entry) for entry in held if entry is not None)
        # Only documents on their way in make a message large, and they need not be moved to be counted.
        found[QUEUE_CONTROL] += len(tags) - len(small)
        return dict(found)

    def shards_in(self, queues: Sequence[str], fresh_s: float) -> set[int]:
        """Return the shards whose messages stand in some queues, or were fetched in the last `fresh_s` seconds.

        A message that was fetched longer ago, and whose shard is not leased, was fetched by a worker that is dead.
        """
        with _reachable():
            waiting = [cast("list[bytes]", self._client.lrange(queue, 0, -1)) for queue in queues]
            fetched = cast("list[bytes]", self._client.zrangebyscore(UNACKED_INDEX, time.time() - fresh_s, "+inf"))
            held = cast("list[bytes | None]", self._client.hmget(UNACKED, fetched)) if fetched else []
        found = {_shard_of(_opened(message)) for messages in waiting for message in messages}
        found |= {_shard_of(_first_of(_opened(entry))) for entry in held if entry is not None}
        return {shard_id for shard_id in found if shard_id is not None}

    def renew(self, tags: Sequence[str]) -> None:
        """Have messages count as fetched just now, by the clock that kombu compares with: this machine's.

        What was acknowledged in the meantime, or forgotten by a flush, stays away.
        """
        with _reachable():
            self._client.zadd(UNACKED_INDEX, dict.fromkeys(tags, time.time()), xx=True)

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
        except TransientError:
            # A hosted Redis may forbid CONFIG; then nothing is known against it.
            return True


def _opened(raw: bytes) -> Any:
    """Return what stands in Redis, None for what is no JSON: anybody who may write there may have put it there."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return None


def _first_of(entry: Any) -> Any:
    return entry[0] if isinstance(entry, list) and entry else None


def _queue_of(raw: bytes) -> str:
    """Return the queue that a fetched message came from; what is no such message counts as one of control."""
    entry = _opened(raw)
    return str(entry[2]) if isinstance(entry, list) and len(entry) > 2 else QUEUE_CONTROL  # noqa: PLR2004 - its form


def _shard_of(message: Any) -> int | None:
    """Return the shard that a message is about: its publisher writes it into the headers."""
    headers = message.get("headers") if isinstance(message, dict) else None
    shard_id = headers.get(SHARD_HEADER) if isinstance(headers, dict) else None
    return shard_id if isinstance(shard_id, int) else None


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        message = f"the broker does not answer: {error}"
        raise TransientError(message) from error
    except redis.ResponseError as error:
        # Out of memory, still loading, forbidden by its rules: it is there and refuses.
        message = f"the broker refuses: {error}"
        raise TransientError(message) from error
    except redis.RedisError as error:
        # An option of its address that redis-py does not take.
        message = f"the broker cannot be used as its address says: {error}"
        raise TransientError(message) from error
