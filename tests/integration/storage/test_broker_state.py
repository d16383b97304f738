"""What a real Redis says of the queue."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
import redis

from storage.broker_state import RedisState
from storage.errors import TransientError
from storage.redis_keys import QUEUE_CPU, SHARD_HEADER, UNACKED, UNACKED_INDEX


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


def test_the_shards_of_messages_are_found_where_they_wait_and_where_they_were_just_fetched(
    state: RedisState, client: redis.Redis
) -> None:
    def message(shard_id: int) -> str:
        return json.dumps({"body": "", "headers": {SHARD_HEADER: shard_id}})

    assert (state.waiting(QUEUE_CPU), state.shards_in([QUEUE_CPU], 60.0)) == (0, set())
    client.lpush(QUEUE_CPU, message(1), message(2), json.dumps({"headers": {}}))
    for tag, shard_id, age_s in (("fresh", 3, 1), ("stale", 4, 3600)):
        client.hset(UNACKED, tag, json.dumps([json.loads(message(shard_id)), "", QUEUE_CPU]))
        client.zadd(UNACKED_INDEX, {tag: time.time() - age_s})
    assert state.waiting(QUEUE_CPU) == 3
    assert state.shards_in([QUEUE_CPU], 60.0) == {1, 2, 3}


def test_what_is_renewed_counts_as_just_fetched_and_what_is_gone_stays_away(
    state: RedisState, client: redis.Redis
) -> None:
    before = time.time()
    client.zadd(UNACKED_INDEX, {"held": before - 3600, "of another worker": before - 3600})
    state.renew(["held", "acknowledged meanwhile"])
    assert client.zcard(UNACKED_INDEX) == 2
    held, of_another = client.zscore(UNACKED_INDEX, "held"), client.zscore(UNACKED_INDEX, "of another worker")
    assert held is not None
    assert of_another is not None
    assert held >= before > of_another


def test_a_redis_that_refuses_is_a_passing_trouble(state: RedisState, client: redis.Redis) -> None:
    client.config_set("maxmemory", "1")
    with pytest.raises(TransientError, match="refuses"):
        state.begin_epoch()


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
