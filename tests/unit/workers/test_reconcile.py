"""The reconciler tells lost from waiting: it puts back what the queue forgot, and never what merely waits."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from storage import jobs, ledger
from storage.engine import reading, transact
from storage.errors import TransientError
from tests.support.inline_mill import InlineMill
from workers.reconcile import reconcile


class FakeQueue:
    """A queue that says what a test wants it to say."""

    def __init__(self, mill: InlineMill) -> None:
        self._mill = mill
        self._epoch: str | None = None
        #: Messages that are on their way and not yet seen.
        self.late = 0
        self.away = False

    def epoch(self) -> str | None:
        if self.away:
            message = "the broker does not answer"
            raise TransientError(message)
        return self._epoch

    def begin_epoch(self) -> str:
        self._epoch = "一"
        return self._epoch

    def flush(self) -> None:
        self._epoch = None
        self._mill.messages.clear()

    def waiting(self, queue: str) -> int:
        return len(self._mill.messages) - self.late if queue == "hanmill.cpu" else 0

    def shards_in(self, queues: Sequence[str], fresh_s: float) -> set[int]:
        return {shard_id for shard_id, _ in self._mill.messages[self.late :]}


@pytest.fixture
def mill(home: Path, sqlite_url: str, tmp_path: Path) -> InlineMill:
    """Return a mill with one job of ten shards that all wait in the queue."""
    made = InlineMill(home, sqlite_url)
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"text": f"第{number}篇"}) + "\n" for number in range(10)))
    made.submit([path], "c", "count", shard_bytes=path.stat().st_size // 10)
    return made


@pytest.fixture
def queue(mill: InlineMill) -> FakeQueue:
    """Return the queue after the first pass, which begins its epoch."""
    made = FakeQueue(mill)
    mill.messages.clear()
    reconcile(mill.parts, mill, made, at_once=True)
    return made


def test_what_merely_waits_is_not_published_again(mill: InlineMill, queue: FakeQueue) -> None:
    published = list(mill.messages)
    assert len(published) == 10
    for _ in range(4):
        reconcile(mill.parts, mill, queue, at_once=True)
    assert mill.messages == published


def test_after_a_flush_everything_queued_is_published_again(mill: InlineMill, queue: FakeQueue) -> None:
    published = list(mill.messages)
    queue.flush()
    reconcile(mill.parts, mill, queue, at_once=True)
    assert mill.messages == published


def test_messages_that_are_missing_in_two_passes_are_lost(mill: InlineMill, queue: FakeQueue) -> None:
    published = list(mill.messages)
    del mill.messages[3]
    reconcile(mill.parts, mill, queue, at_once=True)
    assert len(mill.messages) == 9, "once may be a matter of the moment"
    reconcile(mill.parts, mill, queue, at_once=True)
    assert sorted(mill.messages) == sorted(published), "the lost one again, and none of those that wait"


def test_a_suspicion_that_does_not_last_is_dropped(mill: InlineMill, queue: FakeQueue) -> None:
    for late in (1, 0, 1, 0):
        queue.late = late
        reconcile(mill.parts, mill, queue, at_once=True)
    assert len(mill.messages) == 10


def test_without_its_broker_it_still_frees_lapsed_leases(mill: InlineMill, queue: FakeQueue) -> None:
    shard_id, job_id = mill.messages[0]
    transact(mill.parts.engine, lambda connection: ledger.lease(connection, shard_id, "dead/1/1", -1.0))
    queue.away = True
    reconcile(mill.parts, mill, queue, at_once=True)
    with reading(mill.parts.engine) as connection:
        assert jobs.shard_states(connection, job_id) == {"QUEUED": 10}


def test_what_would_lapse_before_the_next_pass_is_freed_now(mill: InlineMill, queue: FakeQueue) -> None:
    (soon, job_id), (later, _), *_ = mill.messages
    interval_s, lease_s = mill.parts.settings.reconcile_interval_s, mill.parts.settings.lease_s
    assert interval_s <= lease_s / 6
    transact(mill.parts.engine, lambda connection: ledger.lease(connection, soon, "dead/1/1", interval_s / 2))
    transact(mill.parts.engine, lambda connection: ledger.lease(connection, later, "alive/1/1", lease_s * 3 / 4))
    reconcile(mill.parts, mill, queue, at_once=True)
    with reading(mill.parts.engine) as connection:
        assert jobs.shard_states(connection, job_id) == {"QUEUED": 9, "LEASED": 1}


def test_only_one_of_many_passes_at_a_time_does_the_work(mill: InlineMill, queue: FakeQueue) -> None:
    reconcile(mill.parts, mill, queue)
    shard_id, job_id = mill.messages[0]
    transact(mill.parts.engine, lambda connection: ledger.lease(connection, shard_id, "dead/1/1", -1.0))
    reconcile(mill.parts, mill, queue)
    with reading(mill.parts.engine) as connection:
        assert jobs.shard_states(connection, job_id)["LEASED"] == 1, "somebody did it a moment ago"


def test_a_queue_that_has_forgotten_everything_is_filled_at_once(mill: InlineMill, queue: FakeQueue) -> None:
    published = list(mill.messages)
    reconcile(mill.parts, mill, queue)
    queue.flush()
    queue.away = True
    reconcile(mill.parts, mill, queue)
    assert mill.messages == []
    queue.away = False
    reconcile(mill.parts, mill, queue)
    assert mill.messages == published
