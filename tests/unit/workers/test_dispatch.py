"""Dispatching: a window is filled in batches, the last shard ends the job at once, wrong counters cost time only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import update

from storage import job_ledger, jobs
from storage.engine import reading, transact
from storage.errors import TransientError
from storage.schema import job_progress
from tests.support.inline_mill import InlineMill
from workers.dispatch import dispatch_all, dispatch_job
from workers.run_shard import run_shard

SHARDS = 20
WINDOW = 8


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a file that makes twenty shards."""
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"text": f"第{number:02}篇"}) + "\n" for number in range(SHARDS)))
    return path


@pytest.fixture
def mill(home: Path, sqlite_url: str) -> InlineMill:
    """Return a mill with a small window."""
    return InlineMill(home, sqlite_url, window=WINDOW)


@pytest.fixture
def job_id(mill: InlineMill, source: Path) -> int:
    """Return a job whose window has been filled once."""
    submitted = mill.submit([source], "c", "tokenize", shard_bytes=source.stat().st_size // SHARDS)
    return submitted.jobs[0].id


def run_next(mill: InlineMill) -> None:
    """Run the shard of the oldest message, and dispatch nothing."""
    run_shard(mill.parts, mill.messages.pop(0)[0], "inline@test/1/1")


def state(mill: InlineMill, job_id: int) -> str:
    """Return the state of a job."""
    with reading(mill.parts.engine) as connection:
        return str(jobs.get(connection, job_id).state)


def count_along(mill: InlineMill, job_id: int, **values: int) -> None:
    """Make counters wrong, as only somebody with a console could."""
    changed = update(job_progress).where(job_progress.c.job_id == job_id).values(**values)
    transact(mill.parts.engine, lambda connection: connection.execute(changed))


def test_a_window_is_filled_again_in_one_go_when_a_quarter_of_it_is_gone(mill: InlineMill, job_id: int) -> None:
    assert len(mill.messages) == WINDOW
    sent = []
    for _ in range(4):
        run_next(mill)
        sent.append(dispatch_job(mill.parts, mill, job_id))
    assert sent == [0, 2, 0, 2]
    assert len(mill.messages) == WINDOW


def test_the_last_shard_ends_the_job_at_once(mill: InlineMill, job_id: int) -> None:
    states = []
    while mill.messages:
        run_next(mill)
        dispatch_job(mill.parts, mill, job_id)
        states.append(state(mill, job_id))
    assert states[-2:] == ["RUNNING", "DONE"]


def test_nothing_goes_out_of_a_job_that_does_not_run(mill: InlineMill, job_id: int) -> None:
    mill.messages.clear()
    transact(mill.parts.engine, lambda connection: job_ledger.pause(connection, job_id))
    assert dispatch_job(mill.parts, mill, job_id) == 0
    assert mill.messages == []


def test_a_job_whose_counters_are_wrong_is_moved_on_by_the_next_pass(mill: InlineMill, job_id: int) -> None:
    count_along(mill, job_id, pending=job_progress.c.pending + 1)  # type: ignore[arg-type]
    while mill.messages:
        run_next(mill)
        dispatch_job(mill.parts, mill, job_id)
    assert state(mill, job_id) == "RUNNING"
    dispatch_all(mill.parts, mill)
    assert state(mill, job_id) == "DONE"
    with reading(mill.parts.engine) as connection:
        assert jobs.shard_states(connection, job_id) == {"DONE": jobs.view(connection, job_id)["shards"]}


def test_shards_whose_messages_could_not_be_sent_wait_again(
    mill: InlineMill, job_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    while len(mill.messages) > 1:
        run_next(mill)

    def refuse(*_: object) -> None:
        message = "the broker did not take a message"
        raise TransientError(message)

    with monkeypatch.context() as patched:
        patched.setattr(mill, "publish_shards", refuse)
        assert dispatch_job(mill.parts, mill, job_id) == 0
    with reading(mill.parts.engine) as connection:
        assert jobs.shard_states(connection, job_id)["QUEUED"] == 1
    assert dispatch_job(mill.parts, mill, job_id) == WINDOW - 1
