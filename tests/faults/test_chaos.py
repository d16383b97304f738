"""A few schedules of faults with fixed seeds, on each database. `make chaos` plays hundreds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from storage.fault_points import ACTIONS, ERRORS, POINTS
from tests.conftest import DATABASES
from tests.faults.chaos.arena import Arena, ArenaMissingError, open_arena
from tests.faults.chaos.figures import MEANINGS
from tests.faults.chaos.play import play
from tests.faults.chaos.schedule import draw
from tests.faults.chaos.strikes import STRIKES
from tests.faults.chaos.sweep import point_schedule, schedule_of, sweep_seeds
from tests.support.availability import give_up

#: Drawn schedules of kinds that differ and take little time: connections cut, a circle of waiting, a full disk, a queue
#: flushed, a process that stands still, a worker killed.
SEEDS = (44, 96, 207, 239, 326, 329)
#: Points at which somebody is killed beside that.
KILLED_AT = ("dispatch.queued", "partition.deleted", "plan.sealing", "shard.uncommitted")


@pytest.fixture(params=DATABASES)
def arena(request: pytest.FixtureRequest) -> Iterator[Arena]:
    """Return servers and no worker yet, for each kind of database in turn."""
    try:
        with open_arena(request.param) as opened:
            yield opened
    except ArenaMissingError as error:
        give_up(str(error))


@pytest.mark.fault
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_whatever_strikes_the_results_are_those_of_a_serial_run(arena: Arena) -> None:
    struck = 0
    at_points = [seed for seed in sweep_seeds() if _point_of(seed) in KILLED_AT]
    for seed in (*SEEDS, *at_points):
        schedule = schedule_of(seed)
        if schedule.database != arena.database:
            continue
        played = play(arena, schedule, f"corpus-{seed}")
        assert played.differences == [], f"make chaos SEED={seed}: {schedule}"
        assert played.compared > 0
        struck += len(played.struck)
    assert struck > 0, "not one fault was seen to strike"


def test_the_seeds_that_are_always_played_are_of_many_kinds() -> None:
    kinds = {one.kind for seed in SEEDS for one in draw(seed).strikes}
    assert kinds == {"connections_cut", "deadlock", "disk_full", "redis_flush", "stop_child", "kill_worker"}
    assert {draw(seed).database for seed in SEEDS} == {"sqlite", "postgresql"}


def _point_of(seed: int) -> str:
    faults = [one.fault.point for one in point_schedule(seed).strikes if one.fault is not None]
    return faults[-1]


def test_the_sweep_visits_every_point_on_both_databases() -> None:
    visited = [(_point_of(seed), point_schedule(seed).database) for seed in sweep_seeds()]
    assert sorted(visited) == sorted(product(POINTS, ("postgresql", "sqlite")))


def test_a_seed_gives_one_schedule() -> None:
    assert [draw(seed) for seed in range(50)] == [draw(seed) for seed in range(50)]
    assert len({draw(seed) for seed in range(50)}) == 50


def test_every_kind_of_fault_is_drawn_and_can_strike() -> None:
    strikes = [one for seed in range(1_500) for one in draw(seed).strikes]
    faults = [one.fault for one in strikes if one.fault is not None]
    at_points = {"fault_point", "kill_producer"}
    elsewhere = {"kill_run", "late_messages", "two_producers"}
    assert {one.kind for one in strikes} == {*STRIKES, *at_points, *elsewhere}
    assert {one.action for one in faults} == {*ACTIONS} - {"wait"}
    assert {one.error for one in faults} == {*ERRORS}
    assert {one.point for one in faults} <= {*POINTS}
    assert {*STRIKES, *elsewhere, "kill_producer"} <= {*MEANINGS}
