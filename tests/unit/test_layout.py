"""What is installed, and what a start costs: the top-level names are ours alone, and --help loads nothing heavy."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys

#: Each of these takes a noticeable part of a second, or tens of megabytes, to import.
HEAVY = {"alembic", "bokeh", "celery", "jieba", "kombu", "pyarrow", "redis", "sqlalchemy", "torch"}
HELP = "import sys; sys.argv = ['hanmill', '--help']; from workers.cli.main import main; sys.exit(main())"


def imported_by(program: str) -> set[str]:
    """Return the top-level names of all modules that a program imports."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program], check=True, capture_output=True, text=True
    )
    # A line reads: import time, own microseconds, cumulated ones, and the indented name of the module.
    return set(re.findall(r"^import time: +\d+ \| +\d+ \| +([A-Za-z_]\w*)", result.stderr, re.MULTILINE))


def test_the_three_packages_belong_to_hanmill_alone() -> None:
    owners = importlib.metadata.packages_distributions()
    assert {name: set(owners.get(name, [])) for name in ("workers", "tasks", "storage")} == {
        "workers": {"hanmill"},
        "tasks": {"hanmill"},
        "storage": {"hanmill"},
    }


def test_hanmill_installs_no_other_top_level_name() -> None:
    owners = importlib.metadata.packages_distributions()
    # An editable installation adds a module of its own that finds the packages.
    names = {name for name, owned_by in owners.items() if "hanmill" in owned_by and not name.startswith("__editable__")}
    assert names == {"workers", "tasks", "storage"}


def test_help_imports_nothing_heavy() -> None:
    imported = imported_by(HELP)
    assert "typer" in imported
    assert imported & HEAVY == set()
