"""What RabbitMQ says of the queue, for the reconciler: how much waits. Which messages these are it does not tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from amqp.exceptions import NotFound
from kombu.exceptions import OperationalError

from storage.errors import TransientError

#: RabbitMQ keeps its queues over a restart: it has one epoch for ever.
EPOCH = "amqp"


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """How many messages stand in a queue, and how many workers consume it."""

    messages: int
    consumers: int


class AmqpState:
    """A look into one RabbitMQ."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def epoch(self) -> str:
        """Return the mark that stands as long as the queue forgets nothing."""
        return EPOCH

    def begin_epoch(self) -> str:
        """Return the same mark: nothing begins anew."""
        return EPOCH

    def waiting(self, queue: str) -> int:
        """Return how many messages stand in a queue; raises `TransientError` when RabbitMQ is away."""
        return self.counts(queue).messages

    def counts(self, queue: str) -> QueueCounts:
        """Return what stands in a queue and who consumes it; raises `TransientError` when RabbitMQ is away."""
        try:
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1)
                declared = connection.default_channel.queue_declare(queue, passive=True)
                return QueueCounts(int(declared.message_count), int(declared.consumer_count))
        except NotFound:
            # A queue that nobody has declared yet holds nothing.
            return QueueCounts(0, 0)
        except (OperationalError, OSError) as error:
            message = f"the broker does not answer: {error}"
            raise TransientError(message) from error

    def shards_in(self, queues: Sequence[str], fresh_s: float) -> set[int]:  # noqa: ARG002 - cannot be looked at
        """Return nothing: a message of RabbitMQ is read by taking it. What is missing makes all be sent again."""
        return set()
