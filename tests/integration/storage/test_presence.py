"""Workers that are up are known by what they last said; against a real Redis. And what is in flight there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
import redis

from storage.broker_state import SMALL_MESSAGE_BYTES, RedisState, client_url
from storage.errors import TransientError
from storage.presence import KEPT_S, Presence
from storage.redis_keys import UNACKED, WORKER_PREFIX

AWAY = "redis://127.0.0.1:1/0"


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    with closing(redis.Redis.from_url(client_url(redis_url))) as made:
        yield made


@pytest.fixture
def presence(redis_url: str) -> Iterator[Presence]:
    with closing(Presence(redis_url)) as made:
        yield made


def test_workers_are_counted_by_the_queues_they_consume(presence: Presence) -> None:
    assert presence.workers_by_queue() == {}
    presence.announce("one@a", ["hanmill.cpu", "hanmill.control"])
    presence.announce("one@a", ["hanmill.cpu", "hanmill.control"])
    presence.announce("one@b", ["hanmill.cpu"])
    assert presence.workers_by_queue() == {"hanmill.cpu": 2, "hanmill.control": 1}
    presence.withdraw("one@b")
    assert presence.workers_by_queue() == {"hanmill.cpu": 1, "hanmill.control": 1}


def test_a_worker_that_falls_silent_is_forgotten_by_redis_itself(presence: Presence, client: redis.Redis) -> None:
    presence.announce("one@a", ["hanmill.cpu"])
    assert 0 < int(client.ttl(f"{WORKER_PREFIX}one@a")) <= KEPT_S


def test_a_redis_that_is_away_is_told_as_such_and_a_farewell_to_it_is_none() -> None:
    with closing(Presence(AWAY)) as presence:
        with pytest.raises(TransientError, match="does not answer"):
            presence.announce("one@a", ["hanmill.cpu"])
        with pytest.raises(TransientError, match="does not answer"):
            presence.workers_by_queue()
        presence.withdraw("one@a")


def held(queue: str, text: str = "") -> str:
    """Return a fetched message as kombu keeps it."""
    return json.dumps([{"body": text, "headers": {}}, "", queue])


def test_what_is_in_flight_is_counted_by_queue(redis_url: str, client: redis.Redis) -> None:
    queues = ["hanmill.cpu", "hanmill.cpu", "hanmill.gpu", "hanmill.control"]
    for number, queue in enumerate(queues):
        client.hset(UNACKED, f"tag-{number}", held(queue))
    client.hset(UNACKED, "large", held("hanmill.control", "文" * SMALL_MESSAGE_BYTES))
    with closing(RedisState(redis_url)) as state:
        assert state.in_flight() == {"hanmill.cpu": 2, "hanmill.gpu": 1, "hanmill.control": 2}


def test_nothing_is_in_flight_in_an_empty_redis(redis_url: str) -> None:
    with closing(RedisState(redis_url)) as state:
        assert sum(state.in_flight().values()) == 0
