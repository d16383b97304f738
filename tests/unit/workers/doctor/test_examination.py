from __future__ import annotations

from pathlib import Path

from storage.migrate import downgrade
from tests.support.builders import change_shard, end, finish_all, make_job, shard_ids
from tests.support.inline_mill import InlineMill
from workers.doctor.checks import State
from workers.doctor.examination import examine
from workers.settings import Settings


def states(settings: Settings) -> dict[str, State]:
    return {finding.name: finding.state for finding in examine(settings)}


def test_a_machine_where_nothing_ever_ran_is_well_and_stays_empty(home: Path) -> None:
    found = states(Settings(home=home / "new"))
    assert State.FAIL not in found.values()
    assert list(home.iterdir()) == []


def test_a_plan_of_faults_outside_a_test_is_a_warning(home: Path) -> None:
    assert "faults" not in states(Settings(home=home))
    assert states(Settings(home=home, fault_plan="plan.json"))["faults"] == State.WARN


def test_work_that_waits_in_a_home_is_a_warning(home: Path) -> None:
    mill = InlineMill(home)
    make_job(mill.parts.engine, 3)
    found = {finding.name: finding for finding in examine(Settings(home=home))}
    assert found["workers"].state is State.WARN
    assert found["workers"].detail == "3 shards wait for a `hanmill run`"
    assert found["schema"].state is State.OK


def test_figures_that_somebody_changed_are_found(home: Path) -> None:
    mill = InlineMill(home)
    job_id = make_job(mill.parts.engine, 1)
    assert states(Settings(home=home))["figures"] is State.OK
    finish_all(mill.parts.engine, job_id)
    assert end(mill.parts.engine, job_id)
    change_shard(mill.parts.engine, shard_ids(mill.parts.engine, job_id)[0], results=1)
    assert states(Settings(home=home))["figures"] is State.FAIL


def test_an_old_schema_is_found_and_nothing_is_asked_of_it(home: Path) -> None:
    downgrade(InlineMill(home).parts.engine, "base")
    found = states(Settings(home=home))
    assert found["schema"] is State.FAIL
    assert "workers" not in found


def test_a_deployment_needs_its_broker_and_its_database(home: Path) -> None:
    found = states(
        Settings(home=home, database_url="postgresql://mill@127.0.0.1:1/mill", broker_url="redis://127.0.0.1:1/0")
    )
    assert (found["database"], found["broker"]) == (State.FAIL, State.FAIL)
