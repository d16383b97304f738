from __future__ import annotations

from pathlib import Path

from storage.migrate import downgrade
from tests.support.builders import make_job
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


def test_work_that_waits_in_a_home_is_a_warning(home: Path) -> None:
    mill = InlineMill(home)
    make_job(mill.parts.engine, 3)
    found = {finding.name: finding for finding in examine(Settings(home=home))}
    assert found["workers"].state is State.WARN
    assert found["workers"].detail == "3 shards wait for a `hanmill run`"
    assert found["schema"].state is State.OK


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
