from __future__ import annotations

from pathlib import Path

import pytest

from storage.migrate import downgrade
from tests.support.inline_mill import InlineMill
from tests.unit.workers.cli.conftest import Invoke

READING = [("jobs",), ("status", 1), ("dead",), ("top", "poems"), ("corpora",), ("pause", 1), ("worker", "cpu")]


@pytest.mark.parametrize("command", READING, ids=lambda command: command[0])
def test_a_home_with_nothing_in_it_says_what_to_do_first(
    command: tuple[object, ...], invoke: Invoke, home: Path
) -> None:
    shown = invoke(*command)
    assert shown.exit_code == 2
    assert f"there is nothing in {home} yet: run `hanmill run" in shown.stderr
    assert list(home.iterdir()) == []


def test_an_old_schema_is_named_and_upgraded(invoke: Invoke, home: Path) -> None:
    downgrade(InlineMill(home).parts.engine, "base")
    shown = invoke("jobs")
    assert shown.exit_code == 2
    assert "run `hanmill db upgrade`" in shown.stderr
    assert invoke("db", "upgrade").exit_code == 0
    assert invoke("jobs").exit_code == 0
    assert "was there already" in invoke("db", "upgrade").stderr


@pytest.mark.parametrize("command", [("jobs",), ("db", "upgrade"), ("run", "x.txt", "--corpus", "x")])
def test_a_database_that_does_not_answer_is_one_sentence_without_its_password(
    command: tuple[str, ...], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANMILL_DATABASE_URL", "postgresql://mill:secret@127.0.0.1:1/mill")
    shown = invoke(*command)
    assert shown.exit_code == 1
    assert "the database postgresql://mill:***@127.0.0.1:1/mill does not answer" in shown.stderr
    assert "secret" not in shown.output
    assert shown.stderr.count("\n") == 1


def test_wrong_settings_are_wrong_usage(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_LEASE_S", "soon")
    shown = invoke("jobs")
    assert shown.exit_code == 2
    assert "HANMILL_LEASE_S=soon" in shown.stderr
