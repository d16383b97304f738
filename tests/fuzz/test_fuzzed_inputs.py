"""Some hundred bad files, always the same ones, through everything; `make fuzz` takes a hundred thousand new ones."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.sources import read
from tests.fuzz import checks, crew, run
from tests.fuzz.bad_input import bad_input
from tests.fuzz.batches import BATCH_INPUTS, Failure, Told, judge_batch
from tests.fuzz.checks import judge
from tests.fuzz.mill import check_batch, fuzzed_mill
from tests.fuzz.screen import check_screen
from tests.fuzz.seeded import SeededChoices, input_of, judge_number
from tests.support.availability import REPOSITORY, give_up

#: The seed of the files that every test run sees.
SEED = 20261121


@settings(
    max_examples=250,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(source=st.randoms(use_true_random=False))
def test_no_file_breaks_a_promise_of_the_readers(source: Random) -> None:
    choices = SeededChoices(source)
    with tempfile.TemporaryDirectory() as folder:
        judge(choices, bad_input(choices), Path(folder))


def test_a_batch_of_files_comes_out_of_the_mill_as_it_went_in(home: Path, database_url: str, tmp_path: Path) -> None:
    judged = [judge_number(SEED, number, tmp_path)[1] for number in range(80)]
    assert {one.is_confirmed for one in judged} == {True, False}
    assert any(one.refusal for one in judged)
    with fuzzed_mill(home, database_url) as mill:
        figures = check_batch(mill, SeededChoices.of(SEED, -1), "c", judged)
    assert figures["documents"] == sum(len(one.found) for one in judged) > 60
    assert figures["dead"] > 10


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_hanmill_run_shows_nobody_a_traceback(tmp_path: Path) -> None:
    check_screen(SeededChoices.of(SEED, -2), tmp_path)


def test_the_same_seed_and_number_make_the_same_file() -> None:
    assert input_of(SEED, 3) == input_of(SEED, 3)
    assert len({input_of(SEED, number).data for number in range(50)}) > 40


# --- the fuzzer itself: what it would say if a promise were broken


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a reader that loses the last record of every file."""

    def forgetful_read(*arguments: Any) -> list[Any]:
        return list(read(*arguments))[:-1]

    monkeypatch.setattr(checks, "read", forgetful_read)


@pytest.mark.usefixtures("forgetful")
def test_a_record_that_is_silently_gone_is_found_and_can_be_run_again(
    home: Path, sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with fuzzed_mill(home, sqlite_url) as mill:
        told = judge_batch(mill, SEED, 0, tmp_path / "batch", lambda _: None)
    found = [failure for failure in told.failures if failure.inputs == 1]
    assert len(found) > BATCH_INPUTS // 3
    run._keep(found[0], SEED, tmp_path / "findings")
    again = f"python -m tests.fuzz.run --seed {SEED} --only {found[0].number}"
    assert again in capsys.readouterr().out
    with pytest.raises(AssertionError):
        run.main(["--seed", str(SEED), "--only", str(found[0].number)])
    kept = {path.suffix == ".report": path.read_bytes() for path in (tmp_path / "findings").iterdir()}
    assert kept[False] == input_of(SEED, found[0].number).data
    assert again.encode() in kept[True]


def wait_for_ever() -> None:
    with checks.time_limit(1):
        while True:
            pass


def test_a_file_that_never_ends_is_a_finding() -> None:
    with pytest.raises(checks.HangError):
        wait_for_ever()


def dies_at_the_second(seed: int, batches: list[int], folder: Path, current: Any, pipe: Any) -> None:
    """Judge batches as a process does that one input kills."""
    for batch in batches:
        current.value = batch * BATCH_INPUTS + 5
        if batch == 2:
            sys.exit(-11)
        pipe.send(Told(batch))


def test_an_input_that_kills_its_process_is_found_and_the_rest_is_judged(tmp_path: Path) -> None:
    findings = crew.judge_all(dies_at_the_second, SEED, range(6), 2, 60.0, tmp_path)
    assert findings.batches == 5
    (failure,) = findings.failures
    assert failure.number == 2 * BATCH_INPUTS + 5
    assert "ended with exit code" in failure.report


def test_the_summary_counts_inputs_by_format() -> None:
    findings = crew.Findings(batches=2, elapsed_s=3.0, failures=[Failure(1, 1, "x")])
    findings.figures.update({("csv", "inputs"): 1200, ("csv", "dead"): 7, ("mill", "documents"): 90})
    out = io.StringIO()
    run.print_summary(findings, 1, out)
    assert "csv              1,200           0           7" in out.getvalue()
    assert "1 promises broken in 1,200 inputs, 3 s" in out.getvalue()


@pytest.mark.slow
def test_the_target_for_atheris_runs(tmp_path: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        give_up("atheris is not installed: it has wheels for Linux on x86-64 only")
    command = [sys.executable, "-m", "tests.fuzz.atheris_target", "-runs=60", "-seed=1"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert "Done 60 runs" in done.stderr
