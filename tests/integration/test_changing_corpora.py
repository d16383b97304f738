"""A corpus that changes while jobs run, and between them: nothing is read half old and half new, nothing shown late."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine

from storage import job_ledger, ledger, planning
from storage.corpora import restamp_source
from storage.documents import Document, NewDocument
from storage.engine import transact
from storage.planning import plan_job
from storage.replay import replay
from storage.sources import ListingOptions, source_stamp
from tasks.count.operation import CountRun
from tasks.operation import Save
from tests.support.builders import LAPSED_S, call, job, lease, shard_ids
from tests.support.deployment import assert_adds_up
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import counts_of, letters_of, open_mill, tokens_of, view_of, write_texts
from tests.support.reference import serial_counts
from workers.producer import _enqueue_chunk
from workers.run_shard import run_shard
from workers.submit import check_operations

OLD = ["旧"] * 40
NEW = ["新"] * 60
BY_TITLE = ListingOptions(text_field="title")
BY_ID = ListingOptions(key_field="id")


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    """Return a mill that tries again at once."""
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    with open_mill(home, database_url, max_failures=1, max_losses=2, max_deferrals=2) as made:
        yield made


class HalfCounted:
    """A file of old texts in four shards, two of which are counted; the messages of the others still stand."""

    def __init__(self, mill: InlineMill, directory: Path) -> None:
        self._mill = mill
        self.path = write_texts(directory / "a.jsonl", OLD, title="题")
        self.shard_bytes = self.path.stat().st_size // 4
        self.job_id = mill.submit([self.path], "c", "count", shard_bytes=self.shard_bytes).jobs[0].id
        messages = list(mill.messages)
        assert len(messages) >= 4
        mill.messages.clear()
        for shard_id, _ in messages[:2]:
            run_shard(mill.parts, shard_id, "first/1/1")
        self.left = messages[2:]

    def finish(self) -> dict[str, Any]:
        """Let the messages that stand be delivered, then all that follow from them."""
        self._mill.messages[:] = self.left
        self._mill.work()
        self._mill.work(self.job_id)
        return view_of(self._mill, self.job_id)


@pytest.fixture
def half(mill: InlineMill, tmp_path: Path) -> HalfCounted:
    return HalfCounted(mill, tmp_path)


def enqueue_texts(mill: InlineMill, *texts: str, keys: Sequence[str] = (), operation: str = "count") -> int:
    """Enqueue documents in one call, and return the open job that they joined."""
    checked = check_operations(mill.parts.engine, [operation], {})
    documents = [NewDocument(key, text) for key, text in zip(keys or texts, texts, strict=True)]
    (job_id,) = _enqueue_chunk(mill.parts, "c", documents, checked)
    return job_id


def poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the counting of one text raise."""
    healthy = CountRun.take

    def take(self: CountRun, documents: Sequence[Document]) -> Save | None:
        if any(document.text == "毒" for document in documents):
            message = "poison"
            raise ValueError(message)
        return healthy(self, documents)

    monkeypatch.setattr(CountRun, "take", take)


# --- a source that changes under a running job


def test_another_submit_that_sees_a_changed_file_leaves_no_half_of_it_in_a_running_job(
    mill: InlineMill, half: HalfCounted
) -> None:
    write_texts(half.path, NEW)
    mill.submit([half.path], "c", "tokenize", shard_bytes=half.shard_bytes)
    ended = half.finish()
    assert (ended["state"], ended["documents"]) == ("DONE", 60)
    assert counts_of(mill) == serial_counts(NEW)


def test_a_worker_killed_once_it_has_noticed_a_change_leaves_no_half_of_the_old_file(
    mill: InlineMill, half: HalfCounted
) -> None:
    write_texts(half.path, NEW)
    lease(mill.parts.engine, half.left[0][0], lease_s=LAPSED_S)
    restamp_source(mill.parts.engine, 1, *source_stamp(str(half.path)))
    assert call(mill.parts.engine, ledger.free_lapsed) == 1
    ended = half.finish()
    assert (ended["state"], ended["documents"]) == ("DONE", 60)
    assert counts_of(mill) == serial_counts(NEW)


def test_another_text_field_named_by_another_submit_does_not_mix_into_a_running_job(
    mill: InlineMill, half: HalfCounted
) -> None:
    mill.submit([half.path], "c", "tokenize", shard_bytes=half.shard_bytes, listing=BY_TITLE)
    ended = half.finish()
    assert (ended["state"], ended["documents"]) == ("DONE", 40)
    assert counts_of(mill) == serial_counts(["题"] * 40)


def test_a_cancelled_job_that_is_retried_after_a_change_counts_the_file_as_it_is_now(
    mill: InlineMill, half: HalfCounted
) -> None:
    assert call(mill.parts.engine, job_ledger.cancel, half.job_id)
    write_texts(half.path, NEW)
    mill.run([half.path], "c", "count")
    assert counts_of(mill) == serial_counts(NEW)
    assert call(mill.parts.engine, job_ledger.retry, half.job_id)
    ended = half.finish()
    assert (ended["state"], ended["documents"]) == ("DONE", 60)
    assert counts_of(mill) == serial_counts(NEW)


# --- a source that is as it was before


def test_documents_read_with_options_of_long_ago_have_their_tokens_again(mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", [f"文{number}" for number in range(5)], title="题")
    (first,) = mill.run([path], "c", "tokenize")
    before = tokens_of(mill, first)
    mill.run([path], "c", "tokenize", listing=BY_TITLE)
    (third,) = mill.run([path], "c", "tokenize")
    assert view_of(mill, third)["state"] == "DONE"
    assert tokens_of(mill, third) == before
    assert len(before) == view_of(mill, third)["results"] == 5


def test_a_file_that_was_away_and_is_back_has_its_tokens_again(mill: InlineMill, tmp_path: Path) -> None:
    corpus = tmp_path / "in"
    corpus.mkdir()
    write_texts(corpus / "a.jsonl", ["甲", "乙"])
    path = write_texts(corpus / "b.jsonl", ["丙"])
    (first,) = mill.run([corpus], "c", "tokenize", shard_bytes=1)
    before = tokens_of(mill, first)
    away = path.rename(tmp_path / "b.jsonl")
    (second,) = mill.run([corpus], "c", "tokenize", shard_bytes=1)
    assert len(tokens_of(mill, second)) == 2
    away.rename(path)
    (third,) = mill.run([corpus], "c", "tokenize", shard_bytes=1)
    assert tokens_of(mill, third) == before
    assert len(before) == view_of(mill, third)["results"] == 3


# --- what readers see when an older job ends after a newer one


def test_a_replay_of_an_older_job_does_not_hide_the_newer_counts(mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["甲"])
    with path.open("a", encoding="utf-8") as stream:
        stream.write("{broken\n")
    (older,) = mill.run([tmp_path], "c", "count", shard_bytes=1)
    write_texts(tmp_path / "b.jsonl", ["乙"])
    mill.run([tmp_path], "c", "count", shard_bytes=1)
    assert counts_of(mill) == serial_counts(["甲", "乙"])
    assert replay(mill.parts.engine, older).letters == 1
    mill.work(older)
    assert view_of(mill, older)["state"] == "DONE_WITH_DEAD"
    assert counts_of(mill) == serial_counts(["甲", "乙"])


def test_an_older_job_that_ends_after_a_newer_one_does_not_hide_its_counts(mill: InlineMill) -> None:
    engine = mill.parts.engine
    older = enqueue_texts(mill, "甲")
    plan_job(engine, older)
    newer = enqueue_texts(mill, "乙")
    assert newer != older
    plan_job(engine, newer)
    lease(engine, shard_ids(engine, older)[0], lease_s=LAPSED_S)
    mill.work(newer)
    assert counts_of(mill) == serial_counts(["甲", "乙"])
    call(engine, ledger.free_lapsed)
    mill.work(older)
    assert view_of(mill, older)["state"] == "DONE"
    assert counts_of(mill) == serial_counts(["甲", "乙"])


def test_a_cancelled_job_that_is_retried_does_not_hide_the_counts_of_a_newer_one(
    mill: InlineMill, tmp_path: Path
) -> None:
    write_texts(tmp_path / "a.jsonl", ["甲"])
    older = mill.submit([tmp_path], "c", "count", shard_bytes=1).jobs[0].id
    call(mill.parts.engine, job_ledger.cancel, older)
    mill.messages.clear()
    write_texts(tmp_path / "b.jsonl", ["乙"])
    mill.run([tmp_path], "c", "count", shard_bytes=1)
    assert call(mill.parts.engine, job_ledger.retry, older)
    mill.work(older)
    assert view_of(mill, older)["state"] == "DONE"
    assert counts_of(mill) == serial_counts(["甲", "乙"])


# --- the figures of a job are those of its own records


def test_documents_that_are_enqueued_later_change_no_figure_of_a_running_job(mill: InlineMill, tmp_path: Path) -> None:
    path = write_texts(tmp_path / "a.jsonl", ["甲", "乙"])
    job_id = mill.submit([path], "c", "tokenize").jobs[0].id
    texts = [f"文{number}" for number in range(5)]
    enqueue_texts(mill, *texts, keys=["同"] * 5)
    mill.work(job_id)
    ended = view_of(mill, job_id)
    assert_adds_up(ended)
    assert (ended["documents"], ended["results"], ended["replaced"]) == (2, 2, 0)
    assert len(tokens_of(mill, job_id)) == 2


def test_each_of_two_jobs_counts_the_replaced_among_its_own_records(mill: InlineMill, tmp_path: Path) -> None:
    first_path = tmp_path / "a.jsonl"
    first_path.write_text("".join(f'{{"text": "甲{number}", "id": "{number}"}}\n' for number in range(2)))
    second_path = tmp_path / "b.jsonl"
    second_path.write_text("".join(f'{{"text": "丁{number}", "id": "same"}}\n' for number in range(6)))
    first = mill.submit([first_path], "c", "tokenize", listing=BY_ID).jobs[0].id
    waiting = list(mill.messages)
    mill.messages.clear()
    (second,) = mill.run([second_path], "c", "tokenize", listing=BY_ID, options={"hmm": False})
    mill.messages[:] = waiting
    mill.work(first)
    figures = {}
    for job_id in (first, second):
        ended = view_of(mill, job_id)
        assert_adds_up(ended)
        figures[job_id] = (ended["documents"], ended["results"], ended["replaced"], len(tokens_of(mill, job_id)))
    assert figures == {first: (2, 2, 0, 2), second: (8, 3, 5, 3)}


# --- a submit that meets the end of a job, and a replay that the next job knows of


def test_a_submit_that_meets_the_end_of_the_running_job_makes_another(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path / "a.jsonl", ["甲"])
    first = mill.submit([tmp_path], "c", "count", shard_bytes=1).jobs[0].id
    write_texts(tmp_path / "b.jsonl", ["乙"])

    def plan_too_late(engine: Any, job_id: int, *sizes: Any) -> Any:
        mill.work(job_id)
        return plan_job(engine, job_id, *sizes)

    monkeypatch.setattr("workers.submit.plan_job", plan_too_late)
    (submitted,) = mill.submit([tmp_path], "c", "count", shard_bytes=1).jobs
    mill.work()
    assert submitted.id != first
    assert view_of(mill, first)["state"] == view_of(mill, submitted.id)["state"] == "DONE"
    assert counts_of(mill) == serial_counts(["甲", "乙"])


def test_what_was_replayed_in_one_job_is_no_dead_letter_in_the_next(
    mill: InlineMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_texts(tmp_path / "a.jsonl", ["甲", "毒"])
    with monkeypatch.context() as poisoned:
        poison(poisoned)
        (first,) = mill.run([tmp_path], "c", "count")
        write_texts(tmp_path / "b.jsonl", ["乙"])
        (second,) = mill.run([tmp_path], "c", "count")
    assert len(letters_of(mill, first)) == len(letters_of(mill, second)) == 1
    assert replay(mill.parts.engine, first).letters == 1
    mill.work(first)
    assert view_of(mill, first)["state"] == "DONE"
    write_texts(tmp_path / "c.jsonl", ["丙"])
    (third,) = mill.run([tmp_path], "c", "count")
    ended = view_of(mill, third)
    assert (ended["state"], ended["dead"]) == ("DONE", 0)
    assert_adds_up(ended)
    assert counts_of(mill) == serial_counts(["甲", "毒", "乙", "丙"])


# --- a feed


def test_a_feed_of_single_documents_keeps_few_shards(mill: InlineMill) -> None:
    seals, calls = 6, 10
    texts = [f"第{number}篇" for number in range(seals * calls)]
    for seal in range(seals):
        for text in texts[seal * calls : (seal + 1) * calls]:
            job_id = enqueue_texts(mill, text)
        plan_job(mill.parts.engine, job_id)
        mill.work(job_id)
    ended = view_of(mill, job_id)
    assert (ended["state"], ended["documents"]) == ("DONE", len(texts))
    assert_adds_up(ended)
    assert counts_of(mill) == serial_counts(texts)
    maps = len(shard_ids(mill.parts.engine, job_id)) - job(mill.parts.engine, job_id).partitions
    assert maps <= calls, "neither one a document, nor one a call"


def test_a_job_keeps_its_documents_when_another_is_planned_at_the_same_moment(
    mill: InlineMill, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = mill.parts.engine
    first = enqueue_texts(mill, "甲")
    others: list[int] = []

    def meet_another(engine: Engine, work: Callable[[Connection], Any]) -> Any:
        # After every transaction of the one planning comes the other, as often as it can come.
        result = transact(engine, work)
        with monkeypatch.context() as alone:
            alone.setattr(planning, "transact", transact)
            others.append(enqueue_texts(mill, f"乙{len(others)}"))
            plan_job(engine, others[-1])
        return result

    monkeypatch.setattr(planning, "transact", meet_another)
    plan_job(engine, first)
    monkeypatch.setattr(planning, "transact", transact)
    mill.work(first)
    ended = view_of(mill, first)
    assert ended["state"] == "DONE"
    assert 1 <= ended["documents"] <= 1 + len(others), "its own, whether or not the others' are with it"
    assert_adds_up(ended)
    mill.work(others[-1])
    assert counts_of(mill) == serial_counts(["甲", *(f"乙{number}" for number in range(len(others)))])


def test_replaced_documents_of_a_running_job_stay_so_when_a_later_job_is_planned(mill: InlineMill) -> None:
    engine = mill.parts.engine
    enqueue_texts(mill, "甲", keys=["同"], operation="tokenize")
    first = enqueue_texts(mill, "乙", keys=["同"], operation="tokenize")
    plan_job(engine, first)
    plan_job(engine, enqueue_texts(mill, "丙", operation="tokenize"))
    mill.work(first)
    ended = view_of(mill, first)
    assert_adds_up(ended)
    assert (ended["documents"], ended["results"], ended["replaced"]) == (2, 1, 1)


def test_an_enqueued_document_can_be_replayed_after_others_were_enqueued(
    mill: InlineMill, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = mill.parts.engine
    with monkeypatch.context() as poisoned:
        poison(poisoned)
        first = enqueue_texts(mill, "毒", "甲")
        plan_job(engine, first)
        mill.work(first)
        assert view_of(mill, first)["state"] == "DONE_WITH_DEAD"
        second = enqueue_texts(mill, "乙")
        plan_job(engine, second)
        mill.work(second)
    replayed = replay(engine, first)
    assert (replayed.letters, list(replayed.refused)) == (1, [])
    mill.work(first)
    assert view_of(mill, first)["state"] == "DONE"
    assert replay(engine, second).letters == 1
    mill.work(second)
    assert counts_of(mill) == serial_counts(["毒", "甲", "乙"])
