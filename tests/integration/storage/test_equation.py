from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, update

from storage import equation
from storage.engine import reading, transact
from storage.schema import dead_letters, partial_counts, shards, sources, tokens
from storage.states import JobState
from tests.support.builders import change_job, job
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts
from workers.cli.result import fault_of
from workers.cli.status import describe
from workers.dispatch import dispatch_job
from workers.run_shard import run_shard

TEXTS = ["他来到了网易杭研大厦。", "北京大学的学生去图书馆。", "天气很好。"]


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, database_url) as mill:
        yield mill


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = write_texts(tmp_path / "texts.jsonl", TEXTS)
    path.write_bytes(path.read_bytes() + b"no json\n")
    return path


def all_but_ended(mill: InlineMill, source: Path, operation: str) -> int:
    """Run every shard of a job that is not a merge; return the job, which would end at the next look."""
    (submitted,) = mill.submit([source], "c", operation, shard_bytes=60).jobs
    while mill.messages:
        run_shard(mill.parts, mill.messages.pop(0)[0], "inline@test/1/1")
    return submitted.id


def end(mill: InlineMill, job_id: int) -> dict[str, Any]:
    dispatch_job(mill.parts, mill, job_id)
    mill.work(job_id)
    return view_of(mill, job_id)


def lose_a_letter(connection: Connection, job_id: int) -> None:
    connection.execute(delete(dead_letters).where(dead_letters.c.job_id == job_id))


def count_one_less(connection: Connection, job_id: int) -> None:
    digest = select(shards.c.digest).where(shards.c.job_id == job_id, shards.c.results > 0).limit(1).scalar_subquery()
    connection.execute(
        update(partial_counts).where(partial_counts.c.digest == digest).values(documents=partial_counts.c.documents - 1)
    )


def lose_tokens(connection: Connection, job_id: int) -> None:
    one = select(tokens.c.sha256).limit(1).scalar_subquery()
    connection.execute(delete(tokens).where(tokens.c.sha256 == one))


def lose_a_result(connection: Connection, job_id: int) -> None:
    first = select(shards.c.id).where(shards.c.job_id == job_id, shards.c.results > 0).limit(1).scalar_subquery()
    connection.execute(update(shards).where(shards.c.id == first).values(results=shards.c.results - 1))


@pytest.mark.parametrize("operation", ["count", "tokenize"])
def test_the_figures_of_an_honest_job_add_up(
    mill: InlineMill, source: Path, operation: str, caplog: pytest.LogCaptureFixture
) -> None:
    view = end(mill, all_but_ended(mill, source, operation))
    assert (view["documents"], view["results"], view["dead"], view["reason"]) == (4, 3, 1, None)
    assert fault_of(view) is None
    with reading(mill.parts.engine) as connection:
        assert describe(connection, view["id"])["adds_up"] is True
        assert equation.jobs_that_do_not_add_up(connection) == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize(
    ("operation", "tamper", "words"),
    [
        ("count", lose_a_letter, "1 documents are dead by the shards, and there are 0 dead letters"),
        ("tokenize", lose_a_letter, "1 documents are dead by the shards, and there are 0 dead letters"),
        ("count", count_one_less, "1 shards say that they counted 2 documents, and their partial counts have 1"),
        ("tokenize", lose_tokens, "3 documents have a result by the shards, and 2 have one in the table tokens"),
        ("count", lose_a_result, "4 documents went in, 2 came out and 1 are dead"),
        ("tokenize", lose_a_result, "4 documents went in, 2 came out and 1 are dead"),
    ],
)
def test_a_row_that_somebody_changed_is_found_when_the_job_ends(
    mill: InlineMill,
    source: Path,
    operation: str,
    tamper: Callable[[Connection, int], None],
    words: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job_id = all_but_ended(mill, source, operation)
    transact(mill.parts.engine, lambda connection: tamper(connection, job_id))
    with caplog.at_level(logging.ERROR):
        view = end(mill, job_id)
    assert view["state"].startswith("DONE")
    assert words in view["reason"]
    (record,) = [record for record in caplog.records if record.message == "job.figures_differ"]
    assert record.__dict__["job"] == job_id
    assert "DO NOT ADD UP" in str(fault_of(view))
    with reading(mill.parts.engine) as connection:
        assert describe(connection, job_id)["adds_up"] is False
        assert equation.jobs_that_do_not_add_up(connection) == [job_id]


def test_a_row_that_is_changed_later_is_found_too(mill: InlineMill, source: Path) -> None:
    view = end(mill, all_but_ended(mill, source, "count"))
    transact(mill.parts.engine, lambda connection: lose_a_result(connection, view["id"]))
    assert "4 documents ≠ 2 results" in str(fault_of(view_of(mill, view["id"])))
    with reading(mill.parts.engine) as connection:
        assert equation.jobs_that_do_not_add_up(connection) == [view["id"]]


def test_a_corpus_that_went_on_while_the_job_ran_raises_no_alarm(mill: InlineMill, source: Path) -> None:
    job_id = all_but_ended(mill, source, "tokenize")

    def refresh(connection: Connection) -> None:
        connection.execute(update(sources).values(version=sources.c.version + 1))

    transact(mill.parts.engine, refresh)
    assert end(mill, job_id)["reason"] is None


def test_a_job_that_is_mended_and_ends_again_is_no_longer_blamed(mill: InlineMill, source: Path) -> None:
    job_id = all_but_ended(mill, source, "tokenize")
    kept: list[Any] = []

    def take_away(connection: Connection) -> None:
        kept.extend(dict(row) for row in connection.execute(select(dead_letters)).mappings())
        connection.execute(delete(dead_letters))

    transact(mill.parts.engine, take_away)
    assert "dead letters" in end(mill, job_id)["reason"]
    transact(mill.parts.engine, lambda connection: connection.execute(dead_letters.insert(), kept))
    change_job(mill.parts.engine, job_id, state=JobState.RUNNING)
    assert end(mill, job_id)["reason"] is None
    assert job(mill.parts.engine, job_id).state == "DONE_WITH_DEAD"
