"""Passwords and keys stand in nothing that hanmill prints, logs or writes, whatever goes wrong, nor in `ps`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil
import pytest

from tests.support.availability import REPOSITORY
from tests.support.deployment import stop

#: A word that stands nowhere else; the second as somebody writes it who never heard of encoding.
SECRET = "Zq7vXw2KpL9m"
ODD_SECRET = f"{SECRET}/p@ss"
AWAY = {
    "HANMILL_DATABASE_URL": f"postgresql://hanmill:{SECRET}@127.0.0.1:1/hanmill",
    "HANMILL_BROKER_URL": f"redis://hanmill:{SECRET}@127.0.0.1:1/0",
    "HANMILL_ENDPOINT_KEY": SECRET,
    "HANMILL_FLOWER_USERS": f"ops:{SECRET}",
}
#: Addresses that are none, or none of ours, each with a secret all the same.
WRONG_DATABASES = (
    f"postgresql://hanmill:{SECRET}@127.0.0.1:port/hanmill",
    f"postgresql://hanmill:{ODD_SECRET}@127.0.0.1:1/hanmill",
    f"mysql://hanmill:{SECRET}@127.0.0.1/hanmill",
    f"postgresql:hanmill:{SECRET}@127.0.0.1",
    f"postgresql://127.0.0.1:1/hanmill?user=hanmill&password={SECRET}",
)
WRONG_BROKERS = (
    f"redis://:{SECRET}@127.0.0.1:port/0",
    f"redis://:{ODD_SECRET}@127.0.0.1:1/0",
    f"rediss://:{SECRET}@127.0.0.1:1/0?ssl_cert_reqs=whatever",
    f"amqp://hanmill:{SECRET}@127.0.0.1:1//",
    f"sqs://key:{SECRET}@",
)
COMMANDS = (
    *("config", "config --format json", "config --format csv", "doctor", "doctor --format json"),
    *("jobs", "status 1", "dead", "corpora", "top news", "models", "schedule list", "db check", "probe ready"),
    "submit {file} --corpus news --do count",
)


def run(arguments: str, home: Path, settings: Mapping[str, str]) -> str:
    """Return all that a command says."""
    environment = {**os.environ, **settings, "HANMILL_HOME": str(home)}
    command = [sys.executable, "-m", "workers.cli.main", *arguments.split()]
    done = subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, timeout=240, check=False, text=True
    )
    return done.stdout + done.stderr


def written_in(home: Path) -> str:
    """Return what stands in all files of a home, but for the database and Flower's own record of who may log in."""
    files = [path for path in home.rglob("*") if path.is_file() and path.suffix not in {".db", ".db-wal", ".db-shm"}]
    return "\n".join(path.read_bytes().decode(errors="replace") for path in files)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, home: Path) -> Callable[[str, Mapping[str, str]], str]:
    """Return a function that runs a command in this process and gives all that it says: a process each takes long."""
    from typer.testing import CliRunner  # noqa: PLC0415 - other tests need none of these

    from workers.cli.main import app  # noqa: PLC0415
    from workers.settings import load_settings  # noqa: PLC0415

    def call(arguments: str, settings: Mapping[str, str]) -> str:
        load_settings.cache_clear()
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(app, arguments.split())
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.output

    return call


def test_no_command_tells_a_secret(
    in_process: Callable[[str, Mapping[str, str]], str], home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a.txt"
    file.write_text("明月几时有", encoding="utf-8")
    told = {command: in_process(command.replace("{file}", str(file)), AWAY) for command in COMMANDS}
    assert all(told.values())
    assert [command for command, said in told.items() if SECRET in said] == []
    assert SECRET not in written_in(home)
    assert told["config"].count("***") >= 4


@pytest.mark.parametrize("command", ["doctor", "jobs", "config"])
def test_an_address_that_is_wrong_does_not_tell_its_secret(
    command: str, in_process: Callable[[str, Mapping[str, str]], str]
) -> None:
    for address in WRONG_DATABASES:
        assert SECRET not in in_process(command, {"HANMILL_DATABASE_URL": address}), address
    for address in WRONG_BROKERS:
        assert SECRET not in in_process(command, {"HANMILL_DATABASE_URL": "", "HANMILL_BROKER_URL": address}), address


def test_the_traceback_of_a_bug_tells_no_secret(home: Path, tmp_path: Path) -> None:
    (tmp_path / "buggy.py").write_text(
        "import sys, workers.cli.main as program\n"
        "from workers.settings import load_settings\n"
        "def broken(*_, **__):\n"
        "    settings = load_settings()\n"
        "    raise RuntimeError(f'{settings.database_url} {settings.endpoint_key.get_secret_value()}')\n"
        "import workers.cli.opening\n"
        "workers.cli.opening.open_parts = broken\n"
        "sys.argv = ['hanmill', 'jobs']\n"
        "program.main()\n",
        encoding="utf-8",
    )
    environment = {**os.environ, **AWAY, "HANMILL_HOME": str(home), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, tmp_path / "buggy.py"],
        env=environment,
        capture_output=True,
        timeout=240,
        check=False,
        text=True,
    )
    assert "RuntimeError" in done.stderr
    assert "***" in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_worker_tells_no_secret_neither_in_its_log_nor_in_its_command_line(
    log_format: str, home: Path, sqlite_url: str, until: Callable[[Callable[[], bool], str], None]
) -> None:
    settings = {**AWAY, "HANMILL_DATABASE_URL": sqlite_url, "HANMILL_LOG_FORMAT": log_format}
    environment = {**os.environ, **settings, "HANMILL_HOME": str(home), "HANMILL_LOG_LEVEL": "DEBUG"}
    log = home / "worker.log"
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "workers.cli.main", "worker", "cpu", "-c", "1"]
        worker = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=stream, stderr=stream)
    try:
        until(lambda: "127.0.0.1:1/" in log.read_text(encoding="utf-8"), "the worker says that the broker is away")
        family = [psutil.Process(worker.pid), *psutil.Process(worker.pid).children(recursive=True)]
        lines = [" ".join(process.cmdline()) for process in family]
    finally:
        stop(worker)
    assert lines
    assert not any(SECRET in line for line in lines)
    assert SECRET not in written_in(home)
