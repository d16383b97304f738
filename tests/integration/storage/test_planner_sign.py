"""A planner that takes long says that it is alive; one that is silent is replaced."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from storage import job_ledger
from storage.planner_sign import PlannerSign
from tests.support.builders import call, change_job, job, make_job
from tests.support.processes import wait_until


def test_a_planner_gives_signs_as_long_as_it_plans(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = make_job(engine, sealed=False)
    planner = call(engine, job_ledger.start_planning, job_id)
    assert planner is not None
    monkeypatch.setattr(job_ledger, "PLANNER_SILENCE_S", 0.2)
    with PlannerSign(engine, job_id, planner):
        before = job(engine, job_id).planner_until
        # Long silent; the next sign takes that back.
        change_job(engine, job_id, planner_until=1.0)
        wait_until(lambda: 1.0 < job(engine, job_id).planner_until != before, "the planner gives a sign")
    change_job(engine, job_id, planner_until=1.0)
    assert call(engine, job_ledger.jobs_to_plan) == [job_id]


def test_a_planner_that_was_replaced_gives_no_signs_for_the_other(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = make_job(engine, sealed=False)
    first = call(engine, job_ledger.start_planning, job_id)
    assert first is not None
    monkeypatch.setattr(job_ledger, "PLANNER_SILENCE_S", 0.04)
    with PlannerSign(engine, job_id, first) as sign:
        assert call(engine, job_ledger.start_planning, job_id) != first
        change_job(engine, job_id, planner_until=1.0)
        wait_until(lambda: not sign._thread.is_alive(), "it falls silent")
    assert job(engine, job_id).planner_until == 1.0
