"""What tasks are called: by the ledger while it answers, by their ids while it does not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from storage import ledger
from storage.engine import open_engine, reading, transact
from storage.job_ledger import moment
from storage.shard_names import place_of
from tests.support.inline_mill import InlineMill
from workers.attempt_end import NOT_DUE
from workers.flower.task_words import TaskWords, spoken
from workers.task_names import INGEST, RUN_SHARD


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    """Return a mill on each kind of database in turn."""
    made = InlineMill(home, database_url)
    yield made
    made.parts.engine.dispose()


@pytest.fixture
def shard(mill: InlineMill, tmp_path: Path) -> int:
    """Return a shard of a job that waits."""
    path = tmp_path / "news.jsonl"
    path.write_text(json.dumps({"text": "今天天气很好。"}) + "\n", encoding="utf-8")
    mill.submit([path], "news", "count")
    return mill.messages[0][0]


def task(shard_id: int, job_id: int = 1, **fields: Any) -> SimpleNamespace:
    values = {
        "name": RUN_SHARD, "args": "()", "kwargs": f"{{'shard': {shard_id}, 'job': {job_id}}}", "result": None,
        "exception": None, "traceback": None, "state": "RECEIVED", "started": None, "timestamp": 0.0,
    }  # fmt: skip
    return SimpleNamespace(**{**values, **fields})


def test_a_task_is_called_by_corpus_operation_job_shard_and_attempt(mill: InlineMill, shard: int) -> None:
    words = TaskWords(mill.parts.engine)
    named = f"news · count · job 1 · shard {shard}"
    waiting = words.show(task(shard))
    assert (waiting.args, waiting.kwargs) == (named, f"shard={shard}, job=1")
    assert words.show(task(shard, state="SUCCESS", result="'attempt 12 done'", started=1.0)).args == (
        f"{named} · attempt 12"
    )
    assert words.show(task(shard, state="SUCCESS", result=repr(NOT_DUE), started=1.0)).args == named
    failed = words.show(
        task(
            shard,
            state="FAILURE",
            started=1.0,
            traceback="Traceback …",
            exception="AttemptFailedError('attempt 3 failed: 坏')",
        )
    )
    assert (failed.args, failed.exception, failed.traceback) == (f"{named} · attempt 3", "attempt 3 failed: 坏", None)
    others = "2 of 9 shards: shard 50 of job 1: attempt 7 failed"
    together = f"AttemptFailedError('{others}; shard {shard} of job 1: attempt 4 failed')"
    assert words.show(task(shard, state="FAILURE", started=1.0, exception=together)).args == f"{named} · attempt 4"


def test_an_attempt_that_runs_or_was_killed_is_numbered_by_the_ledger(mill: InlineMill, shard: int) -> None:
    words, engine = TaskWords(mill.parts.engine), mill.parts.engine
    named = f"news · count · job 1 · shard {shard}"
    with reading(engine) as connection:
        began = moment(connection)
    for attempt in (1, 2):
        assert transact(engine, lambda connection: ledger.lease(connection, shard, "mill@a/1/1", -1.0)) is not None
        assert words.show(task(shard, state="STARTED", started=began)).args == f"{named} · attempt {attempt}"
        transact(engine, ledger.free_lapsed)
    killed: dict[str, Any] = {"state": "FAILURE", "started": began, "traceback": "…"}
    killed["exception"] = "WorkerLostError('signal 9')"
    shown = words.show(task(shard, **killed, timestamp=began + 60.0))
    assert (shown.args, shown.exception, shown.traceback) == (f"{named} · attempt 2", killed["exception"], "…")
    before_all = words.show(task(shard, **killed, timestamp=began - 60.0))
    assert before_all.args == named


def test_a_merge_says_which_part_it_sums(mill: InlineMill, shard: int) -> None:
    mill.work()
    merge = shard + 1
    shown = TaskWords(mill.parts.engine).show(task(merge, state="SUCCESS", result="'attempt 1 done'", started=1.0))
    assert shown.args == f"news · count, sum 1 · job 1 · shard {merge} · attempt 1"


def test_ids_are_all_that_is_shown_where_the_ledger_does_not_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = open_engine(f"sqlite:///{tmp_path / 'none' / 'none.db'}")
    words = TaskWords(away)
    for _ in range(3):
        assert words.show(task(7, state="STARTED", started=1.0)).args == "job 1 · shard 7"
    assert [record.getMessage() for record in caplog.records] == ["flower.ledger_away"], "asked once, then left alone"
    assert TaskWords(None).show(task(7)).args == "job 1 · shard 7"


def test_a_shard_that_is_gone_keeps_its_ids(mill: InlineMill) -> None:
    assert TaskWords(mill.parts.engine).show(task(4711)).args == "job 1 · shard 4711"


def test_documents_from_a_message_are_called_by_their_corpus_and_other_tasks_stay_as_they_are() -> None:
    shown = TaskWords(None).show(task(1, name=INGEST, kwargs="{'corpus': 'news'}"))
    assert (shown.args, shown.kwargs) == ("documents for news", "corpus=news")
    other = TaskWords(None).show(task(1, name="celery.backend_cleanup", args="(1,)"))
    assert (other.args, other.kwargs) == ("(1,)", "{'shard': 1, 'job': 1}")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (None, None),
        ("'attempt 1 done'", "attempt 1 done"),
        ('AttemptFailedError("it\'s 坏")', "it's 坏"),
        ("AttemptDeferredError('away',)", "away"),
        ("ValueError('x')", "ValueError('x')"),
        ("AttemptFailedError('cut sho", "AttemptFailedError('cut sho"),
        ("17", "17"),
    ],
)
def test_what_was_said_is_taken_out_of_its_representation(shown: str | None, expected: str | None) -> None:
    assert spoken(shown) == expected


def test_the_place_of_a_shard_is_named_as_a_person_would(mill: InlineMill, shard: int, tmp_path: Path) -> None:
    uri = str(tmp_path / "news.jsonl")
    with reading(mill.parts.engine) as connection:
        places = [
            place_of(connection, pieces)
            for pieces in (
                {"files": [[1, 0, -1, 1]]},
                {"files": [[1, 4096, 1024, 1]]},
                {"files": [[1, 4096, -1, 1]]},
                {"files": [[1, 0, -1, 1], [2, 0, -1, 1], [3, 0, -1, 1]]},
                {"files": [[99, 0, -1, 1]]},
                {"documents": [5, 6]},
                None,
            )
        ]
    assert places == [
        f"{uri}, all",
        f"{uri}, 1,024 bytes from byte 4,096",
        f"{uri}, the rest from byte 4,096",
        f"{uri} and 2 more",
        "source 99, all",
        "2 enqueued documents from number 5",
        "",
    ]
