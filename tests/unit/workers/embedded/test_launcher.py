"""The launcher: it becomes the command, and refuses when its parent is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import workers.embedded.launcher as launcher_module

LAUNCHER = Path(launcher_module.__file__)


def launch(parent_pid: int, *command: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher as `child` does."""
    arguments = [sys.executable, "-I", "-S", str(LAUNCHER), str(parent_pid), *command]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)


def test_the_command_runs_in_the_launchers_place_with_its_arguments() -> None:
    result = launch(os.getpid(), "printf", "%s|", "一 二", "", "-x")
    assert (result.returncode, result.stdout) == (0, "一 二||-x|")


def test_a_launcher_whose_parent_is_gone_runs_nothing() -> None:
    result = launch(1, "printf", "ran")
    assert result.stdout == ""
    assert result.returncode == 1
    assert "has ended" in result.stderr


def test_a_command_that_does_not_exist_is_named_without_a_traceback() -> None:
    result = launch(os.getpid(), "/no/such/program")
    assert result.returncode == launcher_module.EXIT_NOT_FOUND
    assert result.stderr == "/no/such/program cannot be run: No such file or directory\n"
