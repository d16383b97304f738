from __future__ import annotations

import json

import pytest

from tests.unit.workers.cli.conftest import Invoke
from workers.settings import Settings


def test_every_setting_is_listed_with_value_default_source_and_meaning(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HANMILL_LEASE_S", "15")
    monkeypatch.setenv("HANMILL_INPUT_ROOTS", "/data:/more")
    rows = {row["name"]: row for row in json.loads(invoke("config", "--format", "json").stdout)}
    assert set(rows) == {f"HANMILL_{name.upper()}" for name in Settings.model_fields}
    lease = rows["HANMILL_LEASE_S"]
    assert (lease["value"], lease["default"], lease["source"]) == (15.0, 60.0, "environment")
    assert lease["meaning"].startswith("seconds")
    assert rows["HANMILL_INPUT_ROOTS"]["value"] == "/data:/more"
    assert rows["HANMILL_WINDOW"]["source"] == "default"


def test_passwords_are_masked(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_DATABASE_URL", "postgresql://mill:secret@db/mill")
    monkeypatch.setenv("HANMILL_BROKER_URL", "redis://:secret@queue:6379/0")
    for chosen in ("table", "json", "csv"):
        shown = invoke("config", "--format", chosen)
        assert shown.exit_code == 0
        assert "secret" not in shown.stdout
        assert "***" in shown.stdout
