from __future__ import annotations

import subprocess
import sys

import pytest
from typer.main import get_command

from tests.unit.workers.cli.conftest import Invoke
from workers.cli.main import MODULES, app, build_app

#: What takes long to import; none of it is needed to show help.
HEAVY = ("alembic", "bokeh", "celery", "jieba", "kombu", "pyarrow", "pydantic", "redis", "rich", "sqlalchemy")


def command_lines() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found.append((name,))
        found += [(name, inner) for inner in getattr(command, "commands", ())]
    return found


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from workers.cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        f"print(*sorted({set(HEAVY)!r} & set(sys.modules)), file=sys.stderr)"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "run" in shown.stdout
    assert shown.stderr.strip() == ""


@pytest.mark.parametrize("command", command_lines(), ids=" ".join)
def test_every_command_has_help_and_an_example(command: tuple[str, ...], invoke: Invoke) -> None:
    shown = invoke(*command, "--help")
    assert shown.exit_code == 0
    assert (
        f"Example: {'HANMILL_' if command == ('config',) or 'db' in command else 'hanmill ' + command[0]}"
        in shown.stdout
    )


def test_the_commands_are_all_there() -> None:
    names = {line[0] for line in command_lines()}
    promised = "run submit worker jobs status pause resume cancel retry dead verify top show export report corpora"
    promised += " compare concordance new-words"
    promised += " flower exporter probe schedule bench models train evaluate doctor config db"
    assert names == {*promised.split(), "beat"}


def test_no_command_at_all_shows_help_and_is_wrong_usage(invoke: Invoke) -> None:
    shown = invoke()
    assert shown.exit_code == 2
    assert "Commands:" in shown.output


def test_every_command_is_found_in_the_module_that_is_named_for_it() -> None:
    everything = get_command(app).commands  # type: ignore[attr-defined]
    assert set(MODULES) == set(everything)
    for name, module in MODULES.items():
        assert name in get_command(build_app([module])).commands  # type: ignore[attr-defined]
