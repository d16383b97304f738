from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from storage import job_ledger, jobs
from storage.engine import AnyRow, reading, transact
from storage.errors import UsageError
from storage.replay import replay
from storage.schema import dead_letters, shards, sources
from storage.states import JobState
from storage.word_counts import by_count, current_generation
from tests.support.builders import job
from tests.support.inline_mill import InlineMill
from workers import run_shard as running

GOOD, POISON = "今天天气很好", "这是毒药"


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    made = InlineMill(home, database_url, max_failures=1)
    yield made
    made.parts.engine.dispose()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "texts.jsonl"
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in (GOOD, POISON, GOOD, POISON)]
    path.write_text("".join(f"{line}\n" for line in [*lines, "{broken"]), encoding="utf-8")
    return path


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        generation = current_generation(connection, 1)
        assert generation is not None
        return {word: count for word, count, _ in by_count(connection, generation)}


def view(engine: Engine, job_id: int) -> dict[str, Any]:
    with reading(engine) as connection:
        return jobs.view(connection, job_id)


def letters(engine: Engine, state: str) -> list[AnyRow]:
    with reading(engine) as connection:
        return list(connection.execute(select(dead_letters).where(dead_letters.c.state == state)))


def fail_on_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    take = running.ShardAttempt._take

    def take_unless_poison(self: running.ShardAttempt, run: Any, batch: Any) -> None:
        if any(document.text == POISON for document in batch.documents):
            message = "poison"
            raise ValueError(message)
        take(self, run, batch)

    monkeypatch.setattr(running.ShardAttempt, "_take", take_unless_poison)
    monkeypatch.setattr("workers.shard_ends._delay_s", lambda _: 0.0)


def test_a_replayed_letter_is_counted_as_if_it_had_never_been_dead(
    mill: InlineMill, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = mill.parts.engine
    with monkeypatch.context() as trouble:
        fail_on_poison(trouble)
        (job_id,) = mill.run([source], "texts", "count")
    before = view(engine, job_id)
    assert (before["state"], before["documents"], before["results"], before["dead"]) == ("DONE_WITH_DEAD", 5, 2, 3)
    assert "毒药" not in counts(engine)

    done = replay(engine, job_id)
    assert (done.letters, done.refused) == (3, [])
    assert job(engine, job_id).state == JobState.RUNNING
    mill.work(job_id)
    after = view(engine, job_id)
    assert (after["state"], after["documents"], after["results"], after["dead"]) == ("DONE_WITH_DEAD", 5, 4, 1)
    assert counts(engine)["毒药"] == 2
    # What is no document stays none, however often it is tried.
    (standing,) = letters(engine, "standing")
    assert standing.reason == "broken_json"
    assert len(letters(engine, "replayed")) == 3


def test_a_second_run_takes_a_replayed_shard_over_whole(
    mill: InlineMill, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as trouble:
        fail_on_poison(trouble)
        (first,) = mill.run([source], "texts", "count")
    replay(mill.parts.engine, first)
    mill.work(first)
    (second,) = mill.run([source], "texts", "count")
    one, other = view(mill.parts.engine, first), view(mill.parts.engine, second)
    same = ("documents", "results", "dead", "tokens", "state")
    assert [one[name] for name in same] == [other[name] for name in same]
    assert other["reused"] == other["shards"]


def test_a_replay_that_was_cut_short_is_completed_by_another(mill: InlineMill, source: Path) -> None:
    engine = mill.parts.engine
    (job_id,) = mill.run([source], "texts", "count")
    assert replay(engine, job_id).letters == 1
    # As if the first had ended before it opened the job.
    transact(
        engine,
        lambda connection: job_ledger.change_job(connection, job_id, [JobState.RUNNING], JobState.DONE_WITH_DEAD),
    )
    assert replay(engine, job_id).letters == 0
    assert job(engine, job_id).state == JobState.RUNNING


def test_each_replay_of_a_shard_numbers_its_children_on(mill: InlineMill, source: Path) -> None:
    engine = mill.parts.engine
    (job_id,) = mill.run([source], "texts", "count")
    for _ in range(2):
        assert replay(engine, job_id).letters == 1
        mill.work(job_id)
        assert view(engine, job_id)["dead"] == 1
    with reading(engine) as connection:
        halves = list(connection.scalars(select(shards.c.half).where(shards.c.half.is_not(None))))
    assert halves == [2, 2]


def test_a_letter_from_an_earlier_version_of_its_source_is_refused(mill: InlineMill, source: Path) -> None:
    engine = mill.parts.engine
    (job_id,) = mill.run([source], "texts", "count")
    (letter,) = letters(engine, "standing")
    transact(engine, lambda connection: connection.execute(update(sources).values(version=sources.c.version + 1)))
    done = replay(engine, job_id)
    assert done.letters == 0
    assert done.refused == [f"{source} at {letter.offset}"]
    assert job(engine, job_id).state == JobState.DONE_WITH_DEAD


def test_a_job_that_is_not_done_cannot_replay(mill: InlineMill, source: Path) -> None:
    submitted = mill.submit([source], "texts", "count")
    with pytest.raises(UsageError, match="only a job that is done"):
        replay(mill.parts.engine, submitted.jobs[0].id)
