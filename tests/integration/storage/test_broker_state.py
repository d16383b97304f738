"""What a real Redis says of the queue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from storage.broker_state import RedisState
from storage.errors import TransientError
from storage.redis_keys import QUEUE_CPU, UNACKED


@pytest.fixture
def state(redis_url: str) -> Iterator[RedisState]:
    found = RedisState(redis_url)
    yield found
    found.close()


@pytest.fixture
def client(redis_url: str) -> Iterator[redis.Redis]:
    made = redis.Redis.from_url(redis_url.replace("redis+socket", "unix").replace("virtual_host", "db"))
    yield made
    made.close()


def test_an_epoch_stands_until_everything_is_forgotten(state: RedisState, client: redis.Redis) -> None:
    assert state.epoch() is None
    mark = state.begin_epoch()
    assert state.epoch() == mark
    client.flushall()
    assert state.epoch() is None
    assert state.begin_epoch() != mark


def test_what_waits_and_what_workers_hold_is_counted(state: RedisState, client: redis.Redis) -> None:
    assert (state.waiting(QUEUE_CPU), state.held()) == (0, 0)
    client.lpush(QUEUE_CPU, "one", "two")
    client.hset(UNACKED, "tag", "three")
    assert (state.waiting(QUEUE_CPU), state.held()) == (2, 1)


def test_its_set_up_is_told(state: RedisState) -> None:
    health = state.health()
    assert health.version != "?"
    assert health.eviction_policy == "noeviction"
    assert not health.persistent
    assert health.used_memory_bytes > 0


def test_a_redis_that_is_away_is_a_transient_error() -> None:
    state = RedisState("redis+socket:///tmp/there-is-none.sock?virtual_host=0")
    with pytest.raises(TransientError, match="does not answer"):
        state.epoch()
