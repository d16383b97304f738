"""Fault points do nothing without a plan, exactly what the plan says with one, and are where their list says."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage import fault_points
from storage.engine import open_engine, transact
from storage.errors import TransientError, UsageError
from storage.fault_points import POINTS, fired_path
from tests.support.availability import REPOSITORY
from tests.support.processes import wait_until

POINT = "shard.begun"


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Path]:
    """Return the path of a plan that is in force; the file is not there yet."""
    path = tmp_path / "plan.json"
    fault_points.arm(str(path))
    yield path
    fault_points.arm("")


def write(path: Path, **fault: Any) -> None:
    path.write_text(json.dumps([fault]), encoding="utf-8")


def reached_in_the_code() -> Counter[str]:
    calls: Counter[str] = Counter()
    for layer in ("storage", "tasks", "workers"):
        for path in (REPOSITORY / layer).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "fault_points.reach":
                    calls[ast.literal_eval(node.args[0])] += 1
    return calls


def test_every_point_that_is_listed_is_reached_at_one_place_of_the_code_and_no_other_is() -> None:
    assert reached_in_the_code() == Counter(dict.fromkeys(POINTS, 1))


def test_without_a_plan_nothing_happens() -> None:
    fault_points.reach(POINT)


def test_a_fault_happens_at_its_time_once_and_leaves_its_proof(plan: Path) -> None:
    fault_points.reach(POINT)
    write(plan, point=POINT, action="raise", error="transient", at=2)
    fault_points.reach(POINT)
    fault_points.reach("shard.leased")
    assert not fired_path(plan, 0).exists()
    with pytest.raises(TransientError, match=POINT):
        fault_points.reach(POINT)
    fault_points.reach(POINT)
    proof = json.loads(fired_path(plan, 0).read_text(encoding="utf-8"))
    assert (proof["point"], proof["pid"]) == (POINT, os.getpid())


def test_a_plan_that_is_not_one_is_named(plan: Path) -> None:
    write(plan, point="nowhere", action="kill")
    with pytest.raises(UsageError, match="nowhere"):
        fault_points.reach(POINT)


def test_a_transaction_that_could_not_be_serialized_runs_again(plan: Path, sqlite_url: str) -> None:
    write(plan, point=POINT, action="raise", error="serialization")
    runs = []

    def work(_: object) -> None:
        runs.append(1)
        fault_points.reach(POINT)

    transact(open_engine(sqlite_url), work)
    assert len(runs) == 2


def test_of_several_processes_one_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write(path, point=POINT, action="kill")
    program = f"from storage import fault_points as f; f.arm({str(path)!r}); f.reach({POINT!r})"
    started = [subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY) for _ in range(2)]
    assert sorted(process.wait() for process in started) == [-9, 0]


def test_a_process_that_a_fault_stopped_goes_on_when_it_is_told_to(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    write(path, point=POINT, action="stop")
    program = f"from storage import fault_points as f; f.arm({str(path)!r}); f.reach({POINT!r})"
    process = subprocess.Popen([sys.executable, "-c", program], cwd=REPOSITORY)
    wait_until(lambda: state_of(process.pid) == "T", "the process stands still")
    process.send_signal(18)
    assert process.wait() == 0


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0]
