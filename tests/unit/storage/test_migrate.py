"""The migrations as a chain of files, without any database."""

from __future__ import annotations

from importlib.resources import files

from alembic.script import ScriptDirectory

from storage.migrate import _config, head_revision


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
