from __future__ import annotations

from pathlib import Path

import pytest

from workers.database_place import database_place
from workers.settings import load_settings

URL = "postgresql://mill:secret@db/mill"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Begin with no setting at all, and with a directory of secrets that has one."""
    for name in ("HANMILL_HOME", "HANMILL_DATABASE_URL", "HANMILL_SECRETS_DIR"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "hanmill_database_url").write_text(f"{URL}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"HANMILL_HOME": "elsewhere"},
        {"HANMILL_HOME": "/srv/mill"},
        {"HANMILL_DATABASE_URL": URL},
        {"HANMILL_DATABASE_URL": "", "HANMILL_HOME": "elsewhere"},
        {"HANMILL_SECRETS_DIR": "secrets"},
        {"HANMILL_SECRETS_DIR": "secrets", "HANMILL_DATABASE_URL": "sqlite:////srv/other.db"},
    ],
)
def test_the_place_is_the_one_that_the_settings_have(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert database_place() == load_settings().sql_url


@pytest.mark.parametrize("given", [{"hanmill_home": "elsewhere"}, {"HANMILL_SECRETS_DIR": "nowhere"}])
def test_what_only_the_settings_can_tell_is_left_to_them(
    given: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert database_place() is None
