"""Opening the database and judging its errors, without any server."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import DBAPIError, OperationalError

from storage.engine import is_retryable, is_unfit, now, open_engine, reading
from storage.errors import UsageError
from storage.schema import jobs

POSTGRESQL = open_engine("postgresql://host/db").dialect
SQLITE = open_engine("sqlite://").dialect


class SqlstateError(Exception):
    def __init__(self, sqlstate: str | None) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


@pytest.mark.parametrize("sqlstate", ["40001", "40P01", "55P03", "57P01", "08006"])
def test_a_lost_race_or_connection_of_postgresql_is_tried_again(sqlstate: str) -> None:
    assert is_retryable(DBAPIError("SELECT 1", {}, SqlstateError(sqlstate)))


@pytest.mark.parametrize("sqlstate", ["23505", "42703", "53100", "22P05"])
def test_other_errors_of_postgresql_are_not_tried_again(sqlstate: str) -> None:
    assert not is_retryable(OperationalError("SELECT 1", {}, SqlstateError(sqlstate)))


def test_a_connection_that_could_not_be_made_is_tried_again() -> None:
    assert is_retryable(OperationalError("SELECT 1", {}, SqlstateError(None)))


@pytest.mark.parametrize(("text", "again"), [("database is locked", True), ("no such table: jobs", False)])
def test_sqlite_is_tried_again_only_when_it_is_busy(text: str, again: bool) -> None:
    assert is_retryable(OperationalError("SELECT 1", {}, sqlite3.OperationalError(text))) is again


@pytest.mark.parametrize(
    ("sqlstate", "unfit"), [("53100", True), ("53200", True), ("58030", True), ("23505", False), ("42703", False)]
)
def test_what_is_the_servers_fault_and_not_the_statements_is_known(sqlstate: str, unfit: bool) -> None:
    assert is_unfit(OperationalError("SELECT 1", {}, SqlstateError(sqlstate))) is unfit


def test_a_sqlite_file_without_room_is_at_fault_itself(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "full.db") as connection:
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.OperationalError) as full:
            connection.execute("CREATE TABLE words (word TEXT)")
        with pytest.raises(sqlite3.OperationalError) as wrong:
            connection.execute("SELECT word FROM sentences")
    assert is_unfit(OperationalError("CREATE", {}, full.value))
    assert not is_unfit(OperationalError("SELECT", {}, wrong.value))


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("", "not a database address"),
        ("news.db", "not a database address"),
        ("mysql://host/db", "names mysql"),
        ("oracle://host/db", "names oracle"),
    ],
)
def test_an_address_that_names_no_usable_database_is_a_usage_error(url: str, fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        open_engine(url)


@pytest.mark.parametrize("driver", ["postgresql", "postgresql+psycopg", "postgresql+psycopg2"])
def test_every_postgresql_address_is_opened_with_psycopg_and_its_password(driver: str) -> None:
    engine = open_engine(f"{driver}://user:p%40ss@host/db")
    assert engine.url.drivername == "postgresql+psycopg"
    assert engine.url.password == "p@ss"
    assert "p@ss" not in str(engine)


def test_sqlite_keeps_a_log_beside_the_file_and_its_foreign_keys(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / '新闻 50%.db'}")
    with reading(engine) as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    assert (tmp_path / "新闻 50%.db").exists()


def test_the_clock_stands_in_the_statement_so_that_no_machine_asks_its_own() -> None:
    statement = insert(jobs).values(created_at=now() + 5)
    assert "clock_timestamp()" in str(statement.compile(dialect=POSTGRESQL))
    assert "julianday('now')" in str(statement.compile(dialect=SQLITE))


def test_instants_of_the_clock_are_compared_as_numbers() -> None:
    compiled = select(jobs.c.id).where(jobs.c.seal_at < now() - 60).compile(dialect=POSTGRESQL)
    assert "extract(epoch from clock_timestamp())::double precision -" in str(compiled)
