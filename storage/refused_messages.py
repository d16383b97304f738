"""What stood in the queue and was no message of ours: the newest of it is kept in Redis for the operator to look at.

A hint, not the truth: it is forgotten with Redis, and only so much is kept. RabbitMQ has dead letter exchanges for it.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from typing import Any, cast

import redis

from storage.broker_state import client_url
from storage.errors import TransientError
from storage.redis_keys import REFUSED

#: Refused messages that are kept; the oldest go first, so that nobody fills Redis with them.
KEPT = 100
#: Characters that are kept of one.
EXCERPT_CHARACTERS = 2000
#: Seconds that Redis has for an answer; a worker's main loop waits for it.
TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused message: when, where it stood, why it was refused, how large it was, and how it begins."""

    time_s: float
    queue: str
    reason: str
    size_bytes: int
    excerpt: str


def refused_now(queue: str, reason: str, content: bytes | str) -> Refused:
    """Return what is to be kept of a message that is refused at this moment, bytes that are no text escaped."""
    excerpt = content[:EXCERPT_CHARACTERS]
    shown = excerpt.decode(errors="backslashreplace") if isinstance(excerpt, bytes) else excerpt
    return Refused(time.time(), queue, reason, len(content), shown)


class RefusedMessages:
    """The refused messages of one Redis."""

    def __init__(self, broker_url: str) -> None:
        url = client_url(broker_url)
        self._client = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)

    def close(self) -> None:
        """Give the connection back."""
        self._client.close()

    def put(self, refused: Refused) -> None:
        """Keep one, and let the oldest go; raises `TransientError` when Redis is away or full."""
        try:
            with self._client.pipeline() as pipeline:
                pipeline.lpush(REFUSED, json.dumps(asdict(refused)))
                pipeline.ltrim(REFUSED, 0, KEPT - 1)
                pipeline.execute()
        except redis.RedisError as error:
            message = f"the broker does not answer: {error}"
            raise TransientError(message) from error

    def newest_first(self) -> list[Refused]:
        """Return what is kept; raises `TransientError` when Redis is away."""
        try:
            entries = cast("list[Any]", self._client.lrange(REFUSED, 0, KEPT - 1))
        except redis.RedisError as error:
            message = f"the broker does not answer: {error}"
            raise TransientError(message) from error
        return [Refused(**json.loads(entry)) for entry in entries]
