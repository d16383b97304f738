"""A plain `hanmill status JOB` is answered at once, in the very words of the command; all else is the command's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workers.cli.conftest import Invoke
from workers.cli.glance import glance

PROGRAM = "from workers.cli.main import main; main()"
#: What the answer is given without.
COMMAND_LINE = {
    "typer",
    "click",
    "pydantic",
    "pydantic_settings",
    "rich.console",
    "sqlalchemy",
    "logging",
    "dataclasses",
}


def hanmill(*arguments: str, **options: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run(
        [sys.executable, "-c", options.get("program", PROGRAM), *arguments], capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("form", ["{}", "{} --format json", "{} --format=csv", "--format table {}", "--format=json {}"])
def test_a_plain_question_is_answered_in_the_words_of_the_command(
    form: str, poems: Path, invoke: Invoke, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ["status", *form.format(1).split()]
    assert glance(arguments)
    at_once = capfd.readouterr()
    # The lines of CSV end with two characters, of which the other side keeps one.
    assert (at_once.out.replace("\r\n", "\n"), at_once.err) == (invoke(*arguments).output, "")
    assert "count" in at_once.out


@pytest.mark.parametrize(
    "line",
    [
        "",
        "1 --watch",
        "--watch 1",
        "--help",
        "x",
        "+1",
        "１",
        "1 2",
        "1 --format yaml",
        "1 --format",
        "99",
        "01 --format=JSON",
    ],
)
def test_what_is_not_plain_or_not_well_is_left_to_the_command(
    line: str, poems: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert not glance(["status", *line.split()])
    assert tuple(capfd.readouterr()) == ("", "")


def test_one_argument_with_a_blank_is_no_job(poems: Path) -> None:
    assert not glance(["status 1"])


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("99", 2, "there is no job 99"),
        ("x", 2, "Invalid value for 'JOB'"),
        ("1 --format yaml", 2, "yaml"),
        ("--help", 0, "Example"),
    ],
)
def test_the_command_says_what_is_wrong(line: str, code: int, said: str, poems: Path) -> None:
    ended = hanmill("status", *line.split())
    assert ended.returncode == code
    assert said in (ended.stdout if code == 0 else ended.stderr)
    assert "Traceback" not in ended.stderr


def test_a_home_where_nothing_is_yet_is_told_by_the_command(home: Path) -> None:
    ended = hanmill("status", "1")
    assert ended.returncode == 2
    assert "there is nothing in" in ended.stderr


def test_the_answer_is_given_before_a_command_line_is_loaded(poems: Path) -> None:
    ended = hanmill(
        "status",
        "1",
        program=f"import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr)); {PROGRAM}",
    )
    assert ended.returncode == 0
    assert "DONE" in ended.stdout
    loaded = set(ended.stderr.split())
    assert "sqlite3" in loaded
    assert loaded & COMMAND_LINE == set()


def test_who_stops_to_read_ends_it_without_a_word(poems: Path) -> None:
    program = "import os, sys; r, w = os.pipe(); os.close(r); os.dup2(w, 1); " + PROGRAM
    ended = hanmill("status", "1", program=program)
    assert (ended.returncode, ended.stderr) == (1, "")
