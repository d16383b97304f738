"""kombu's connection to Redis, which looks at what stands in a queue before kombu opens it.

What is no message is set aside and logged, and the worker goes on. Other brokers frame their messages themselves.
"""

from __future__ import annotations

import logging
from typing import Any

from celery.app.amqp import AMQP
from kombu import Connection
from kombu.transport import redis as kombu_redis

from storage.errors import TransientError
from storage.refused_messages import Refused, RefusedMessages, refused_now
from workers.message_envelope import broadcast_fault, envelope_fault
from workers.settings import load_settings

logger = logging.getLogger(__name__)


def set_aside(broker_url: str, refused: Refused) -> None:
    """Log that a message was refused, and keep it for the operator where there is a Redis to keep it in."""
    logger.warning(
        "message.refused", extra={"queue": refused.queue, "error": refused.reason, "bytes": refused.size_bytes}
    )
    if not broker_url.startswith("redis"):
        return
    kept = RefusedMessages(broker_url)
    try:
        kept.put(refused)
    except TransientError as error:
        logger.warning("message.not_kept", extra={"queue": refused.queue, "error": str(error)})
    finally:
        kept.close()


class GuardedChannel(kombu_redis.Channel):
    """A channel that gives kombu envelopes alone."""

    def _create_client(self, asynchronous: bool = False) -> Any:  # noqa: FBT001, FBT002 - kombu's signature
        client = super()._create_client(asynchronous)  # type: ignore[misc] # its types know none
        client.set_response_callback("BRPOP", self._accepted)
        return client

    def _accepted(self, response: Any, **_: Any) -> Any:
        """Return what Redis has given, nothing when it is no message."""
        if not response:
            return response
        queue, raw = response
        settings = load_settings()
        fault = envelope_fault(raw, settings.max_message_bytes)
        if fault is None:
            return response
        set_aside(settings.broker_url, refused_now(_text(queue), fault, raw))
        return None

    def _handle_message(self, client: Any, r: Any) -> Any:
        """Return what Redis sends to many, such as remote control, made harmless where it is no message."""
        told = super()._handle_message(client, r)  # type: ignore[misc] # its types know none
        if not told or not _text(told["type"]).endswith("message"):
            return told
        channel = _text(told["channel"])
        fault = broadcast_fault(told["data"], load_settings().max_message_bytes, is_control="pidbox" in channel)
        if fault is None:
            return told
        logger.warning("message.refused", extra={"queue": channel, "error": fault, "bytes": len(told["data"])})
        # kombu takes it for one of Redis' own words about subscriptions, which are nothing to it.
        return {**told, "type": "refused"}


def _text(name: bytes | str) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else name


class GuardedTransport(kombu_redis.Transport):
    """The transport of such channels."""

    Channel = GuardedChannel


class GuardedConnection(Connection):
    """A connection that is guarded where it goes to Redis."""

    def get_transport_cls(self) -> Any:
        """Return the class of the transport."""
        found = super().get_transport_cls()
        return GuardedTransport if found is kombu_redis.Transport else found


class GuardedAMQP(AMQP):
    """Celery's door to kombu, by which the application connects."""

    Connection = GuardedConnection
    BrokerConnection = GuardedConnection
