"""What goes wrong with a shard ends in the ledger: poison stands alone, a changed source is planned again."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from storage import dead_letters, jobs, ledger
from storage.corpora import corpus_id_of
from storage.documents import Document
from storage.engine import reading, transact
from storage.replay import replay
from storage.word_counts import by_count, current_generation
from tasks.count.operation import CountRun
from tasks.operation import Save
from tests.support.deployment import assert_adds_up
from tests.support.inline_mill import InlineMill
from tests.support.reference import Counts, serial_counts
from workers.heartbeat import Heartbeat
from workers.run_shard import ShardAttempt

GOOD = [f"第{number}篇文章讲的是北京的天气。" for number in range(20)]
POISON = "毒"


@pytest.fixture
def mill(home: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> InlineMill:
    """Return a mill that tries again at once."""
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)
    return InlineMill(home, sqlite_url, max_failures=2, max_losses=2, max_deferrals=2)


def write(path: Path, texts: Sequence[str]) -> Path:
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts))
    return path


def counts(mill: InlineMill) -> Counts:
    with reading(mill.parts.engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, "c"))
        assert generation is not None
        return {word: (count, documents) for word, count, documents in by_count(connection, generation)}


def view(mill: InlineMill, job_id: int) -> dict[str, Any]:
    with reading(mill.parts.engine) as connection:
        return jobs.view(connection, job_id)


def letters(mill: InlineMill, job_id: int) -> list[dict[str, Any]]:
    with reading(mill.parts.engine) as connection:
        return dead_letters.list_letters(connection, job_id)


@pytest.fixture
def poisonous(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> type[BaseException]:
    """Make the counting of a poisonous document raise."""
    kind: type[BaseException] = request.param
    healthy = CountRun.take

    def take(self: CountRun, documents: Sequence[Document]) -> Save | None:
        if any(POISON in document.text for document in documents):
            raise kind
        return healthy(self, documents)

    monkeypatch.setattr(CountRun, "take", take)
    return kind


@pytest.mark.parametrize("poisonous", [ValueError, RecursionError, MemoryError], indirect=True)
def test_a_poisonous_document_is_set_aside_alone_and_counted_when_it_is_mended(
    mill: InlineMill, tmp_path: Path, poisonous: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [*GOOD[:13], f"有{POISON}的文章", *GOOD[13:]]
    path = write(tmp_path / "c.jsonl", texts)
    (job_id,) = mill.run([path], "c", "count")
    ended = view(mill, job_id)
    assert ended["state"] == "DONE_WITH_DEAD"
    assert_adds_up(ended)
    assert counts(mill) == serial_counts(GOOD)
    (letter,) = letters(mill, job_id)
    assert (letter["reason"], letter["line"], letter["source"]) == ("failed", 14, str(path))
    assert poisonous.__name__ in letter["detail"]

    monkeypatch.undo()
    assert replay(mill.parts.engine, job_id).letters == 1
    mill.work(job_id)
    assert view(mill, job_id)["state"] == "DONE"
    assert_adds_up(view(mill, job_id))
    assert counts(mill) == serial_counts(texts)


class Killed(BaseException):
    """Ends an attempt as SIGKILL does: nobody handles it, and the lease is all that is left."""


@pytest.mark.parametrize("poisonous", [Killed], indirect=True)
@pytest.mark.usefixtures("poisonous")
def test_a_document_that_kills_its_worker_is_found_by_halving(mill: InlineMill, tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", [*GOOD[:5], f"{POISON}文章", *GOOD[5:]])
    job_id = mill.submit([path], "c", "count").jobs[0].id
    kills = 0
    while view(mill, job_id)["state"] == "RUNNING":
        try:
            mill.work(job_id)
        except Killed:
            kills += 1
            transact(mill.parts.engine, lambda connection: ledger.free_worker(connection, "inline@test/1/"))
    assert view(mill, job_id)["state"] == "DONE_WITH_DEAD"
    assert_adds_up(view(mill, job_id))
    (letter,) = letters(mill, job_id)
    assert (letter["reason"], letter["line"]) == ("killed", 6)
    assert kills == 2 + 3 + 2, "twice as one of 21 documents, once as one of 10, 5 and 2, and twice alone"
    assert counts(mill) == serial_counts(GOOD)


def test_a_source_that_changes_after_planning_is_counted_as_it_is_now(mill: InlineMill, tmp_path: Path) -> None:
    path = write(tmp_path / "c.jsonl", GOOD)
    submitted = mill.submit([path], "c", "count", shard_bytes=200)
    write(path, GOOD[3:11])
    mill.work()
    mill.work(submitted.jobs[0].id)
    assert view(mill, submitted.jobs[0].id)["state"] == "DONE"
    assert counts(mill) == serial_counts(GOOD[3:11])


def test_a_source_that_vanished_is_one_dead_letter_and_is_tried_again_by_the_next_job(
    mill: InlineMill, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    write(tmp_path / "in" / "a.jsonl", GOOD[:10])
    gone = write(tmp_path / "in" / "b.jsonl", GOOD[10:])
    stamp = gone.stat()
    submitted = mill.submit([tmp_path / "in"], "c", "count")
    content = gone.read_bytes()
    gone.unlink()
    mill.work()
    job_id = submitted.jobs[0].id
    assert view(mill, job_id)["state"] == "DONE_WITH_DEAD"
    assert [letter["reason"] for letter in letters(mill, job_id)] == ["source_unavailable"]
    assert counts(mill) == serial_counts(GOOD[:10])

    gone.write_bytes(content)
    os.utime(gone, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (second,) = mill.run([tmp_path / "in"], "c", "count")
    assert view(mill, second)["state"] == "DONE"
    assert counts(mill) == serial_counts(GOOD)


def test_an_attempt_whose_lease_lapsed_writes_nothing(mill: InlineMill, tmp_path: Path) -> None:
    submitted = mill.submit([write(tmp_path / "c.jsonl", GOOD)], "c", "count")
    engine, job_id = mill.parts.engine, submitted.jobs[0].id
    shard_id, _ = mill.messages[0]
    held = transact(engine, lambda connection: ledger.lease(connection, shard_id, "slow/1/1", -1.0))
    assert held is not None
    assert transact(engine, ledger.free_lapsed) == 1
    mill.work(job_id)
    before = counts(mill)
    with reading(engine) as connection:
        job = jobs.get(connection, job_id)
    with Heartbeat(engine, [held], 60.0) as heartbeat:
        ShardAttempt(mill.parts, held, heartbeat, job).run()
    assert view(mill, job_id)["state"] == "DONE"
    assert counts(mill) == before == serial_counts(GOOD)


def test_a_message_that_comes_late_or_twice_is_forgotten(mill: InlineMill, tmp_path: Path) -> None:
    submitted = mill.submit([write(tmp_path / "c.jsonl", GOOD)], "c", "count")
    late = list(mill.messages)
    mill.work()
    mill.messages.extend(late * 2)
    mill.work()
    assert view(mill, submitted.jobs[0].id)["state"] == "DONE"
    assert counts(mill) == serial_counts(GOOD)
