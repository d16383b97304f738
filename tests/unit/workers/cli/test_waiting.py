from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from storage import job_ledger
from storage.errors import TransientError
from storage.states import JobState
from tests.support.builders import call, make_job
from tests.support.inline_mill import InlineMill
from workers.cli import waiting
from workers.cli.waiting import Watch, wait_for_end


class FakeDisplay:
    """Keeps what it is told."""

    def __init__(self, *, wants_figures: bool = True) -> None:
        self.wants_figures = wants_figures
        self.sentences: list[str] = []
        self.updates: list[Sequence[Mapping[str, Any]]] = []

    def tell(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def update(self, views: Sequence[Mapping[str, Any]]) -> None:
        self.updates.append(views)


@pytest.fixture
def mill(home: Path) -> Iterator[InlineMill]:
    made = InlineMill(home)
    yield made
    made.parts.engine.dispose()


def test_a_job_that_goes_on_is_shown_and_waited_for(mill: InlineMill) -> None:
    job_id = make_job(mill.parts.engine, 2)
    display = FakeDisplay()
    assert Watch(mill.parts.engine, [job_id], display).look()
    assert [view["id"] for view in display.updates[0]] == [job_id]


def test_nobody_looks_and_no_figures_are_summed(mill: InlineMill) -> None:
    display = FakeDisplay(wants_figures=False)
    assert Watch(mill.parts.engine, [make_job(mill.parts.engine, 1)], display).look()
    assert display.updates == []


def test_a_pause_is_told_once_and_again_after_it_went_on(mill: InlineMill) -> None:
    job_id = make_job(mill.parts.engine, 1)
    display = FakeDisplay()
    watch = Watch(mill.parts.engine, [job_id], display)
    for state in (JobState.PAUSED, JobState.PAUSED, JobState.RUNNING, JobState.PAUSED):
        call(mill.parts.engine, job_ledger.change_job, job_id, list(JobState), state)
        assert watch.look()
    assert display.sentences == [f"job {job_id} is paused; `hanmill resume {job_id}` lets it go on"] * 2


def test_a_database_that_is_away_is_waited_for(mill: InlineMill, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> dict[int, str]:
        message = "away"
        raise TransientError(message)

    monkeypatch.setattr(waiting, "states_of", away)
    assert Watch(mill.parts.engine, [1], FakeDisplay()).look()


def test_waiting_ends_with_the_last_job(mill: InlineMill) -> None:
    job_ids = [make_job(mill.parts.engine, 1, fingerprint=mark * 32) for mark in "ab"]
    for job_id in job_ids:
        call(mill.parts.engine, job_ledger.cancel, job_id)
    wait_for_end(mill.parts.engine, job_ids, FakeDisplay())
