"""The states of jobs and shards, and the lists made of them."""

from __future__ import annotations

from storage.states import (
    ACTIVE_JOB_STATES,
    COMPLETE_JOB_STATES,
    JOB_STATES,
    OPEN_JOB_STATES,
    SHARD_STATES,
    UNFINISHED_SHARD_STATES,
    one_of,
)


def test_what_is_active_is_open_and_what_is_complete_is_not() -> None:
    assert set(ACTIVE_JOB_STATES) < set(OPEN_JOB_STATES) < set(JOB_STATES)
    assert set(OPEN_JOB_STATES).isdisjoint(COMPLETE_JOB_STATES)
    assert set(UNFINISHED_SHARD_STATES) < set(SHARD_STATES)


def test_every_state_fits_its_column() -> None:
    assert max(map(len, JOB_STATES)) <= 20
    assert max(map(len, SHARD_STATES)) <= 10


def test_the_condition_on_a_column_lists_its_values() -> None:
    assert one_of("state", ["A", "B"]) == "state IN ('A', 'B')"
