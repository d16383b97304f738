"""Which libraries a command loads is what it costs: an operator's questions load none that they can do without."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

#: What no command that shows something has any use for.
USELESS = {"alembic", "celery", "jieba", "kombu", "numpy", "psycopg", "pyarrow", "redis", "rjieba", "torch"}
#: What takes longer to load than the whole of a question of SQL.
HEAVY = {*USELESS, "pydantic_settings", "rich.console", "rich.table", "sqlalchemy"}
#: Runs a command line as the program does, and prints the names of the modules that are loaded in the end.
PROGRAM = """
import sys
from workers.cli.main import main
try:
    main()
except SystemExit as ended:
    print(*sys.modules, file=sys.stderr)
    sys.exit(ended.code)
"""


def loaded_by(*arguments: str) -> set[str]:
    result = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return set(result.stderr.split())


@pytest.mark.parametrize("command", ["status 1", "status 1 --format json", "jobs", "dead", "dead 1 --format csv"])
def test_questions_about_jobs_load_only_the_driver(command: str, poems: Path) -> None:
    loaded = loaded_by(*command.split())
    assert "sqlite3" in loaded
    assert loaded & HEAVY == set()


@pytest.mark.parametrize("command", ["top poems", "schedule list", "corpora"])
def test_other_listings_load_neither_the_queue_nor_the_engines(command: str, poems: Path) -> None:
    loaded = loaded_by(*command.split())
    assert "sqlalchemy" in loaded
    assert loaded & USELESS == set()


def test_only_the_module_of_the_command_is_loaded(poems: Path) -> None:
    commands = {name for name in loaded_by("jobs") if name.startswith("workers.cli.")}
    assert not commands & {"workers.cli.train", "workers.cli.run", "workers.cli.models", "workers.cli.schedule"}
