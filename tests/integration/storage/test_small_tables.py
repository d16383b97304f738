"""Marks and resources on both databases."""

from __future__ import annotations

import hashlib
from functools import partial

import pytest
from sqlalchemy import Engine

from storage import marks, resources
from storage.engine import count_rows
from storage.errors import PermanentError
from storage.schema import resources as resource_table
from tests.support.builders import at_once, call


def test_a_mark_is_set_replaced_and_taken_away(engine: Engine) -> None:
    assert call(engine, marks.get, "broker_epoch") is None
    for value in ("a", "b"):
        call(engine, marks.put, "broker_epoch", value)
        assert call(engine, marks.get, "broker_epoch") == value
    call(engine, marks.put, "broker_epoch", None)
    assert call(engine, marks.get, "broker_epoch") is None


def test_one_caller_in_an_interval_has_the_turn(engine: Engine) -> None:
    for number in range(10):
        turns = at_once([partial(call, engine, marks.take_turn, f"turn {number}", 3600.0)] * 4)
        assert sorted(turns) == [False, False, False, True]


def test_the_turn_comes_again_after_the_interval(engine: Engine) -> None:
    assert call(engine, marks.take_turn, "reconciled_at", 3600.0)
    assert call(engine, marks.take_turn, "reconciled_at", 0.0)


def test_a_turn_taken_in_the_future_is_not_believed(engine: Engine) -> None:
    # The database's clock was set back: nobody waits until it is as late again.
    call(engine, marks.put, "reconciled_at", "1e12")
    assert call(engine, marks.take_turn, "reconciled_at", 3600.0)


def test_a_resource_is_kept_once_by_the_digest_of_its_bytes(engine: Engine) -> None:
    data = "韩信 100 nr\n".encode("gb18030") + b"\x00\xff"
    digest = call(engine, resources.add, data)
    assert digest == call(engine, resources.add, data) == hashlib.sha256(data).hexdigest()
    assert call(engine, resources.load, digest) == data
    assert call(engine, count_rows, resource_table) == 1


def test_a_resource_that_is_gone_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(PermanentError, match="submit the job again"):
        call(engine, resources.load, "0" * 64)
