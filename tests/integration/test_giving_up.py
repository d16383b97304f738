"""A job ends whatever is in its way: what cannot be read, planned or published is set aside or waits; nothing hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from storage import jobs, ledger, shard_input
from storage.broker_state import client_url
from storage.engine import reading
from tests.support.builders import call, change_job, change_shard, job, shard, shard_ids
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import counts_of, letters_of, open_mill, tokens_of, view_of, write_texts
from tests.support.reference import serial_counts
from workers import run_shard as running
from workers.dispatch import dispatch_job
from workers.reconcile import reconcile

#: More messages than any job here needs; one that takes so many would never end.
MANY = 40


class Killed(BaseException):
    """Ends an attempt as SIGKILL does: nobody handles it, and the lease is all that is left."""


class FlushedQueue:
    """A queue that has just forgotten everything."""

    def epoch(self) -> str | None:
        return None

    def begin_epoch(self) -> str:
        return "another"

    def waiting(self, queue: str) -> int:
        return 0

    def shards_in(self, queues: Sequence[str], fresh_s: float) -> set[int]:
        return set()


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    """Return a mill that tries again at once."""
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    with open_mill(home, database_url, max_failures=1, max_losses=2, max_deferrals=2) as made:
        yield made


@pytest.fixture
def two_texts(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "a.jsonl", ["甲", "乙"])


def deliver(mill: InlineMill, before: Callable[[int], None] = lambda _: None) -> int:
    """Deliver messages until none is left, but not for ever; return how many. `before` is told the number of each."""
    for number in range(1, MANY):
        if not mill.messages:
            return number - 1
        shard_id, job_id = mill.messages.pop(0)
        before(number)
        try:
            running.run_shard(mill.parts, shard_id, "inline@test/1/1")
        except Killed:
            call(mill.parts.engine, ledger.free_worker, "inline@test/1/")
        dispatch_job(mill.parts, mill, job_id)
    return MANY


def break_reader(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    """Let every reading of records end with an error, also that which looks for a shard's middle."""

    def broken(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(shard_input, "read", broken)
    monkeypatch.setattr(shard_input, "record_offsets", broken)


# --- shards that cannot even be halved


@pytest.mark.parametrize(("error", "reason"), [(ValueError, "failed"), (Killed, "killed")])
def test_a_file_whose_reading_itself_fails_or_kills_becomes_a_dead_letter(
    mill: InlineMill, two_texts: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], reason: str
) -> None:
    break_reader(monkeypatch, error)
    job_id = mill.submit([two_texts], "c", "count").jobs[0].id
    assert deliver(mill) < MANY
    ended = view_of(mill, job_id)
    assert ended["state"] == "DONE_WITH_DEAD"
    assert_adds_up(ended)
    assert letters_of(mill, job_id) == [(reason, 0)]


def test_a_file_that_fails_and_then_goes_away_becomes_a_dead_letter(mill: InlineMill, two_texts: Path) -> None:
    job_id = mill.submit([two_texts], "c", "count").jobs[0].id
    (shard_id,) = shard_ids(mill.parts.engine, job_id)
    change_shard(mill.parts.engine, shard_id, failures=1)
    two_texts.unlink()
    assert deliver(mill) < MANY
    ended = view_of(mill, job_id)
    assert ended["state"] == "DONE_WITH_DEAD"
    assert_adds_up(ended)
    assert letters_of(mill, job_id) == [("failed", 0)]
    assert shard(mill.parts.engine, shard_id).state == "DEAD"


def test_a_shard_in_which_no_record_begins_becomes_no_dead_letter(mill: InlineMill, two_texts: Path) -> None:
    job_id = mill.submit([two_texts], "c", "count", shard_bytes=5).jobs[0].id
    shards = shard_ids(mill.parts.engine, job_id)
    assert len(shards) > 2
    for shard_id in shards:
        change_shard(mill.parts.engine, shard_id, losses=2)
    assert deliver(mill) < MANY
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["documents"], ended["dead"]) == ("DONE_WITH_DEAD", 2, 2)
    assert_adds_up(ended)
    assert [reason for reason, _ in letters_of(mill, job_id)] == ["killed", "killed"]


# --- a job that cannot be planned as it was meant


def test_a_job_whose_file_is_gone_before_it_is_planned_holds_up_no_other(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = mill.parts.engine
    gone = tmp_path / "gone.csv"
    gone.write_text("text\n" + "字字字字\n" * 100, encoding="utf-8")

    def killed(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as unlucky:
        unlucky.setattr("workers.submit.plan_job", killed)
        with pytest.raises(Killed):
            mill.submit([gone], "A", "count", shard_bytes=100)
    gone.unlink()
    with reading(engine) as connection:
        (first,) = jobs.list_ids(connection)
    change_job(engine, first, created_at=0.0)
    second = mill.submit([write_texts(tmp_path / "b.jsonl", ["好"])], "B", "count").jobs[0].id
    mill.messages.clear()

    reconcile(mill.parts, mill, FlushedQueue(), at_once=True)
    assert deliver(mill) < MANY
    assert job(engine, second).state == "DONE"
    assert job(engine, first).state == "DONE_WITH_DEAD"
    assert [reason for reason, _ in letters_of(mill, first)] == ["source_unavailable"]
    assert_adds_up(view_of(mill, first))


# --- what an attempt wrote before it failed


@pytest.fixture
def every_document_is_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "FLUSH_BYTES", 1)
    monkeypatch.setattr(shard_input, "BATCH_DOCUMENTS", 1)


@pytest.mark.usefixtures("every_document_is_written_at_once")
@pytest.mark.parametrize(
    "content",
    [
        pytest.param('{"text":"甲"}\n{bad\n{bad2\n', id="the document first"),
        pytest.param('{bad\n{bad2\n{"text":"甲"}\n', id="the broken lines first"),
    ],
)
def test_a_file_that_goes_away_between_two_attempts_is_one_dead_letter(
    mill: InlineMill, tmp_path: Path, content: str
) -> None:
    read_first, read_later = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    read_first.write_text(content, encoding="utf-8")
    write_texts(read_later, ["乙"])
    job_id = mill.submit([read_first, read_later], "c", "tokenize").jobs[0].id
    away = read_later.rename(tmp_path / "b.away")

    def change_places(number: int) -> None:
        if number == 2:
            read_first.rename(tmp_path / "a.away")
            away.rename(read_later)

    assert deliver(mill, change_places) < MANY
    ended = view_of(mill, job_id)
    assert ended["state"] == "DONE_WITH_DEAD"
    assert_adds_up(ended)
    assert (ended["documents"], ended["results"], ended["dead"]) == (2, 1, 1)
    assert letters_of(mill, job_id) == [("source_unavailable", 0)]
    # What the first attempt had cut of the other file is no less right, and another job may show it.
    assert ["乙"] in tokens_of(mill, job_id)


def test_a_file_that_one_job_found_away_keeps_the_documents_of_another(mill: InlineMill, two_texts: Path) -> None:
    (first,) = mill.run([two_texts], "c", "tokenize")
    before = tokens_of(mill, first)
    second = mill.submit([two_texts], "c", "tokenize", options={"hmm": False}).jobs[0].id
    away = two_texts.rename(two_texts.with_suffix(".away"))
    assert deliver(mill) < MANY
    assert view_of(mill, second)["state"] == "DONE_WITH_DEAD"
    assert tokens_of(mill, first) == before == [["甲"], ["乙"]]
    away.rename(two_texts)
    (third,) = mill.run([two_texts], "c", "tokenize")
    assert view_of(mill, third)["results"] == len(tokens_of(mill, third)) == 2


@pytest.mark.usefixtures("every_document_is_written_at_once")
def test_a_broken_line_before_a_poisonous_document_is_one_dead_letter(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    healthy = running.ShardAttempt._take

    def take(self: running.ShardAttempt, run: Any, batch: Any) -> None:
        if any(document.text == "毒" for document in batch.documents):
            message = "poison"
            raise ValueError(message)
        healthy(self, run, batch)

    monkeypatch.setattr(running.ShardAttempt, "_take", take)
    path = tmp_path / "a.jsonl"
    path.write_text('{bad\n{"text":"甲"}\n{"text":"毒"}\n', encoding="utf-8")
    job_id = mill.submit([path], "c", "count").jobs[0].id
    assert deliver(mill) < MANY
    ended = view_of(mill, job_id)
    assert_adds_up(ended)
    assert (ended["state"], ended["documents"], ended["dead"]) == ("DONE_WITH_DEAD", 3, 2)
    assert [reason for reason, _ in letters_of(mill, job_id)] == ["broken_json", "failed"]
    assert counts_of(mill) == serial_counts(["甲"])


# --- a broker that takes nothing


def test_a_full_redis_loses_no_shard_and_takes_the_messages_when_it_has_room(
    home: Path, sqlite_url: str, redis_url: str, tmp_path: Path
) -> None:
    deployment = Deployment(home, sqlite_url, redis_url)
    engine = deployment.parts.engine
    client = redis.Redis.from_url(client_url(redis_url))
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", 1)
    job_id = deployment.submit([write_texts(tmp_path / "a.jsonl", ["甲"])]).jobs[0].id
    deployment.reconcile()
    (shard_id,) = shard_ids(engine, job_id)
    assert shard(engine, shard_id).state == "PENDING"
    client.config_set("maxmemory", 0)
    deployment.reconcile()
    assert shard(engine, shard_id).state == "QUEUED"
    assert client.llen("hanmill.cpu") == 1
    client.close()
    engine.dispose()
