"""Where settings come from: the environment first, then a file in the directory of secrets, then the default."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import UsageError
from workers.settings import load_settings, source_of


@pytest.fixture
def secrets_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "hanmill_endpoint_key").write_text("from a file\n", encoding="utf-8")
    (tmp_path / "hanmill_lease_s").write_text("7", encoding="utf-8")
    (tmp_path / "of_somebody_else").write_text("x", encoding="utf-8")
    monkeypatch.setenv("HANMILL_SECRETS_DIR", str(tmp_path))
    load_settings.cache_clear()
    return tmp_path


def test_a_file_gives_the_setting_of_its_name_without_its_line_end(secrets_dir: Path) -> None:
    settings = load_settings()
    assert settings.endpoint_key.get_secret_value() == "from a file"
    assert settings.lease_s == 7.0
    assert source_of(settings, "endpoint_key") == "secrets"
    assert source_of(settings, "window") == "default"
    assert "from a file" in settings.secrets


def test_the_environment_comes_before_a_file(secrets_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_LEASE_S", "9")
    settings = load_settings()
    assert settings.lease_s == 9.0
    assert source_of(settings, "lease_s") == "environment"


def test_a_directory_of_secrets_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HANMILL_SECRETS_DIR", "/nowhere/at/all")
    load_settings.cache_clear()
    with pytest.raises(UsageError, match="HANMILL_SECRETS_DIR=/nowhere/at/all: no directory that can be read"):
        load_settings()


def test_a_wrong_value_in_a_file_is_said_like_one_of_the_environment(secrets_dir: Path) -> None:
    (secrets_dir / "hanmill_lease_s").write_text("soon", encoding="utf-8")
    with pytest.raises(UsageError, match="HANMILL_LEASE_S=soon"):
        load_settings()
