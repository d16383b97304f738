"""Dead letters on both databases: written once, storable whatever is wrong with them, listed in order."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from storage import dead_letters, inspection, ledger
from storage.dead_letters import DeadLetter
from storage.ledger import Lease
from tests.support.builders import call, end, lease, make_job, outcome, shard_ids


@pytest.fixture
def held(engine: Engine) -> Lease:
    return lease(engine, shard_ids(engine, make_job(engine, 1))[0])


def letter(
    offset: int = 0, *, source: str = "/texts/a", reason: str = "undecodable", key: str | None = None
) -> DeadLetter:
    return DeadLetter(1, source, offset, 5, reason, "为什么", line=3, key=key)


def test_an_attempt_that_writes_its_letters_again_changes_nothing(engine: Engine, held: Lease) -> None:
    for _ in range(2):
        call(engine, dead_letters.save, held, [letter(0), letter(5)])
    assert call(engine, dead_letters.standing, held.job_id) == 2


def test_letters_of_enqueued_documents_stand_side_by_side(engine: Engine, held: Lease) -> None:
    letters = [DeadLetter(0, "enqueued", 0, 5, "failed", "", document_id=number) for number in (1, 2)]
    call(engine, dead_letters.save, held, letters)
    assert call(engine, dead_letters.standing, held.job_id) == 2


def test_a_letter_tells_place_reason_and_attempts(engine: Engine, held: Lease) -> None:
    call(engine, dead_letters.save, held, [letter(5, key="键")])
    (row,) = call(engine, dead_letters.list_letters, held.job_id)
    shown = {name: row[name] for name in ("source", "line", "offset", "length", "key", "reason", "detail", "attempts")}
    assert shown == {
        "source": "/texts/a",
        "line": 3,
        "offset": 5,
        "length": 5,
        "key": "键",
        "reason": "undecodable",
        "detail": "为什么",
        "attempts": 1,
    }


def test_the_very_fault_it_tells_of_does_not_stop_a_letter(engine: Engine, held: Lease) -> None:
    key = "a\x00\ud800" + "字" * 600
    broken = DeadLetter(1, "/texts/a", 0, 5, "nul", "\udfff\x00" + "x" * 3000, key=key)
    call(engine, dead_letters.save, held, [broken])
    (row,) = call(engine, dead_letters.list_letters, held.job_id)
    assert row["key"].startswith("a\\0\\ud800字")
    assert row["detail"].startswith("\\udfff\\0xxx")


def test_letters_are_listed_by_job_source_and_place(engine: Engine, held: Lease) -> None:
    other = lease(engine, shard_ids(engine, make_job(engine, 1))[0])
    call(engine, dead_letters.save, other, [letter(0)])
    call(engine, dead_letters.save, held, [letter(9), letter(3, source="/texts/b"), letter(2)])
    places = [(row["job_id"], row["source"], row["offset"]) for row in call(engine, dead_letters.list_letters, None)]
    assert places == [
        (held.job_id, "/texts/a", 2),
        (held.job_id, "/texts/a", 9),
        (held.job_id, "/texts/b", 3),
        (other.job_id, "/texts/a", 0),
    ]
    assert len(call(engine, dead_letters.list_letters, None, 3)) == 3
    assert len(call(engine, dead_letters.list_letters, other.job_id)) == 1


def test_letters_are_counted_by_reason(engine: Engine, held: Lease) -> None:
    call(engine, dead_letters.save, held, [letter(0), letter(1), letter(2, reason="nul")])
    assert call(engine, dead_letters.count_by_reason, held.job_id) == {"nul": 1, "undecodable": 2}


def test_discarded_letters_stand_no_more_but_the_job_remembers(engine: Engine, held: Lease) -> None:
    call(engine, dead_letters.save, held, [letter(0), letter(1)])
    assert call(engine, inspection.has_standing, [held.job_id])
    assert call(engine, dead_letters.discard, held.job_id) == 2
    assert call(engine, dead_letters.discard, held.job_id) == 0
    assert call(engine, dead_letters.list_letters, held.job_id) == []
    assert not call(engine, inspection.has_standing, [held.job_id])


def test_letters_are_replayable_once_their_job_has_ended_with_them(engine: Engine, held: Lease) -> None:
    call(engine, dead_letters.save, held, [letter(0)])
    call(engine, ledger.finish, held, outcome(dead=1))
    end(engine, held.job_id)
    assert call(engine, dead_letters.replayable, held.job_id)
    assert not call(engine, dead_letters.replayable, 4711)
