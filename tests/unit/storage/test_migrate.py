"""The migrations as a chain of files, without any database."""

from __future__ import annotations

from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import pytest
from alembic.script import ScriptDirectory

from storage.migrate import _config, oldest_program
from storage.revisions import head_revision


def test_there_is_one_head_and_it_stands_on_one_base() -> None:
    script = ScriptDirectory.from_config(_config(None))
    assert script.get_heads() == [head_revision()]
    assert len(script.get_bases()) == 1


def test_every_migration_is_numbered_in_its_order() -> None:
    script = ScriptDirectory.from_config(_config(None))
    revisions = [revision.revision for revision in script.walk_revisions()]
    assert revisions == [f"{number:04}" for number in range(len(revisions), 0, -1)]


def test_what_alembic_needs_stands_in_the_package() -> None:
    migrations = files("storage") / "migrations"
    assert all((migrations / name).is_file() for name in ("env.py", "script.py.mako", "versions/0001_first_tables.py"))


def chain(*promises: str | None) -> list[Any]:
    """Return steps 0001, 0002, … with the oldest program that each names, newest first."""
    steps = []
    for number, promise in enumerate(promises, start=1):
        module = SimpleNamespace() if promise is None else SimpleNamespace(oldest_program=promise)
        steps.append(SimpleNamespace(revision=f"{number:04}", module=module))
    return steps[::-1]


@pytest.mark.parametrize(
    ("promises", "oldest"),
    [
        ((None,), "0001"),
        ((None, None), "0002"),
        ((None, "0001"), "0001"),
        ((None, "0001", "0001"), "0001"),
        ((None, None, "0001"), "0002"),
        # Added in 0002, no longer used from 0003 on, taken away in 0004: 0003 works with it, 0002 does not.
        ((None, "0001", "0002", "0003"), "0003"),
        ((None, "0001", None, "0003"), "0003"),
    ],
)
def test_the_oldest_program_is_one_that_every_later_step_lets_through(
    promises: tuple[str | None, ...], oldest: str
) -> None:
    assert oldest_program(chain(*promises)) == oldest


def test_every_step_names_as_its_oldest_program_one_that_there_is() -> None:
    script = ScriptDirectory.from_config(_config(None))
    known = [step.revision for step in script.walk_revisions()]
    for step in script.walk_revisions():
        named = getattr(step.module, "oldest_program", step.revision)
        assert named in known
        assert named <= step.revision
