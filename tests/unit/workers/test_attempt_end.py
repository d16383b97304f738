"""What a monitor of Celery's tasks is shown of attempts: done, failed with the reason, deferred."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from celery.exceptions import Retry

from storage.ledger import Lease
from workers.attempt_end import NOT_DUE, REASON_CHARS, SHOWN_SHARDS, AttemptEnd, AttemptFailedError, show


def end(outcome: Any, reason: str = "", shard_id: int = 17, attempt: int = 2) -> AttemptEnd:
    held = Lease(shard_id, 3, "token", "map", None, None, None, attempt, 0, 0, 0, None)
    return AttemptEnd(held, outcome, reason)


def test_what_went_well_is_a_result() -> None:
    assert show([end("done")]) == "attempt 2 done"
    assert show([end("done", shard_id=shard_id) for shard_id in range(1, 1501)]) == (
        "attempt 2 done, with 1,499 more shards"
    )
    assert show([]) == NOT_DUE
    assert show([end("split")]).startswith("attempt 2 halved the shard")
    assert show([end("lost")]).startswith("attempt 2 lost its lease")


@pytest.mark.parametrize("outcome", ["failed", "dead"])
def test_a_failure_says_why_and_survives_the_way_to_the_main_process(outcome: str) -> None:
    with pytest.raises(AttemptFailedError, match=r"^attempt 2 .*: ValueError: 坏了 ") as raised:
        show([end(outcome, "ValueError: 坏了 (news.jsonl, 40 bytes from byte 0)")])
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)  # noqa: S301 - made just now


def test_what_is_deferred_is_shown_as_tried_again() -> None:
    with pytest.raises(Retry) as raised:
        show([end("deferred", "news.jsonl is away")])
    assert str(raised.value.exc) == "attempt 2 deferred: news.jsonl is away"


def test_of_shards_that_ran_together_those_are_named_that_failed() -> None:
    good = [end("done", shard_id=1), end("deferred", "away", shard_id=2)]
    with pytest.raises(AttemptFailedError) as raised:
        show([*good, end("failed", "ValueError: 坏了", shard_id=3), end("dead", "a.txt", shard_id=4)])
    assert str(raised.value) == (
        "2 of 4 shards: shard 3 of job 3: attempt 2 failed: ValueError: 坏了; "
        "shard 4 of job 3: attempt 2 set aside as dead letter: a.txt"
    )
    with pytest.raises(AttemptFailedError) as raised:
        show([end("failed", "x" * 5000, shard_id=shard_id) for shard_id in range(1000)])
    assert str(raised.value).endswith(f"; and {1000 - SHOWN_SHARDS:,} more")
    assert len(str(raised.value)) < SHOWN_SHARDS * (REASON_CHARS + 60) + 100


def test_no_password_of_an_address_is_shown() -> None:
    with pytest.raises(AttemptFailedError, match=r"ftp://ops:[*]{3}@files/a.txt"):
        show([end("failed", "ftp://ops:geheim@files/a.txt is not what it was")])
