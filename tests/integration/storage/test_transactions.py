"""Transactions on both databases: repeated when they lost a race, given up with an error that says so."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import Connection, Engine, select, text, update
from sqlalchemy.exc import DataError, IntegrityError, OperationalError

from storage.engine import count_rows, insert_new, load_rows, now, open_engine, reading, transact, upsert
from storage.errors import StorageError, TransientError
from storage.schema import corpora, jobs, marks
from tests.support.builders import at_once, call, clock, make_job


@pytest.fixture
def sqlite_url(sqlite_url: str) -> str:
    """Return a database whose table of marks is empty: the tests here write into it, for it is the simplest."""
    engine = open_engine(sqlite_url)
    transact(engine, lambda connection: connection.execute(marks.delete()))
    engine.dispose()
    return sqlite_url


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda _pause_s: None)


def lost_connection() -> OperationalError:
    return OperationalError("SELECT 1", {}, RuntimeError("the server went away"), connection_invalidated=True)


def test_a_transaction_is_run_again_when_the_connection_was_lost(engine: Engine, no_pauses: None) -> None:
    tries: list[int] = []

    def work(connection: Connection) -> str:
        insert_new(connection, marks, [{"name": f"try {len(tries)}", "value": ""}])
        tries.append(1)
        if len(tries) < 3:
            raise lost_connection()
        return "done"

    assert transact(engine, work) == "done"
    with reading(engine) as connection:
        assert list(connection.scalars(select(marks.c.name))) == ["try 2"]


def test_a_database_that_stays_away_is_a_transient_error(engine: Engine, no_pauses: None) -> None:
    def work(_connection: Connection) -> None:
        raise lost_connection()

    with pytest.raises(TransientError, match="in 8 tries: the server went away"):
        transact(engine, work)


def test_what_the_database_refuses_is_told_at_once(engine: Engine) -> None:
    tries: list[int] = []

    def work(connection: Connection) -> None:
        tries.append(1)
        connection.execute(text("SELECT nonsense FROM jobs"))

    with pytest.raises(StorageError, match=r"refused a transaction: .*nonsense"):
        transact(engine, work)
    assert len(tries) == 1


def test_reading_from_a_database_that_went_away_is_a_transient_error(engine: Engine) -> None:
    def read() -> None:
        with reading(engine):
            raise lost_connection()

    with pytest.raises(TransientError, match="did not answer: the server went away"):
        read()


def test_a_broken_rule_is_loud_at_once(engine: Engine) -> None:
    with pytest.raises(IntegrityError):
        call(engine, upsert, jobs, [{"id": 1, "corpus_id": 4711}], ["id"])


def test_what_fails_half_way_leaves_nothing(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        insert_new(connection, marks, [{"name": "half", "value": ""}])
        message = "half way"
        raise ValueError(message)

    with pytest.raises(ValueError, match="half way"):
        transact(engine, work)
    assert call(engine, count_rows, marks) == 0


def test_transactions_that_read_and_then_write_the_same_row_lose_nothing(engine: Engine) -> None:
    call(engine, insert_new, marks, [{"name": "count", "value": "0"}])

    def add(connection: Connection) -> None:
        statement = select(marks.c.value).where(marks.c.name == "count").with_for_update()
        value = int(connection.scalar(statement) or 0)
        connection.execute(update(marks).where(marks.c.name == "count").values(value=str(value + 1)))

    def add_often() -> None:
        for _ in range(10):
            transact(engine, add)

    at_once([add_often] * 4)
    with reading(engine) as connection:
        assert connection.scalar(select(marks.c.value)) == "40"


def test_a_deadlock_is_broken_and_the_loser_runs_again(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    call(engine, insert_new, marks, [{"name": name, "value": "0"} for name in "ab"])
    both_hold_one = threading.Barrier(2)
    tries: list[int] = []

    def work(connection: Connection, names: str) -> None:
        tries.append(1)
        for name in names:
            connection.execute(update(marks).where(marks.c.name == name).values(value="1"))
            if name == names[0] and len(tries) <= 2:
                both_hold_one.wait()

    at_once([partial(call, engine, work, names) for names in ("ab", "ba")])
    engine.dispose()
    assert len(tries) == 3


def test_a_copy_whose_connection_is_cut_runs_again(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    tries: list[int] = []

    def rows(process_id: int) -> Iterator[tuple[str, str]]:
        tries.append(1)
        if len(tries) == 1:
            call(engine, lambda other: other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": process_id}))
        # More than the driver keeps before it sends.
        yield from ((f"m{number}", "值" * 100) for number in range(3000))

    def work(connection: Connection) -> None:
        load_rows(connection, marks, ["name", "value"], rows(connection.scalar(text("SELECT pg_backend_pid()")) or 0))

    transact(engine, work)
    assert len(tries) == 2
    assert call(engine, count_rows, marks) == 3000
    engine.dispose()


def test_a_copy_of_what_no_column_takes_is_the_rows_fault(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    with pytest.raises(DataError):
        call(engine, load_rows, jobs, ["corpus_id"], [("not a number",)])
    engine.dispose()


def test_a_reader_in_no_hurry_may_stand_still_and_others_may_not(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    shown = text("SHOW idle_in_transaction_session_timeout")
    with reading(engine, unhurried=True) as connection:
        assert connection.scalar(shown) == "0"
    with reading(engine) as connection:
        assert connection.scalar(shown) == "1min"
    engine.dispose()


def test_reading_sqlite_waits_for_no_writer(sqlite_url: str) -> None:
    writer, reader = open_engine(sqlite_url), open_engine(sqlite_url)
    with writer.begin() as connection:
        insert_new(connection, marks, [{"name": "unseen", "value": ""}])
        with reading(reader) as other:
            assert count_rows(other, marks) == 0


def test_sqlite_waits_for_another_writer_and_is_then_tried_again(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.engine.SQLITE_BUSY_TIMEOUT_MS", 1)
    first, second = open_engine(sqlite_url), open_engine(sqlite_url)
    holder = first.connect()
    insert_new(holder, marks, [{"name": "first", "value": ""}])
    pauses: list[float] = []

    def pause(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 2:
            holder.commit()

    monkeypatch.setattr(time, "sleep", pause)
    call(second, insert_new, marks, [{"name": "second", "value": ""}])
    holder.close()
    assert len(pauses) == 2
    assert call(first, count_rows, marks) == 2


def test_the_clock_is_the_time_of_day_and_finer_than_a_lease(engine: Engine) -> None:
    first, second = clock(engine), clock(engine)
    assert first <= second < first + 10
    # After the year 2020, in seconds.
    assert first > 1_577_836_800


def test_the_clock_goes_on_inside_a_transaction_of_postgresql(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    with engine.begin() as connection:
        first = connection.scalar(select(now()))
        connection.execute(text("SELECT pg_sleep(0.002)"))
        assert first is not None
        assert connection.scalar(select(now())) > first
    engine.dispose()


def test_rows_that_are_there_are_left_or_replaced_as_asked(engine: Engine) -> None:
    call(engine, insert_new, marks, [{"name": "a", "value": "1"}])
    call(engine, insert_new, marks, [{"name": "a", "value": "2"}, {"name": "b", "value": "2"}])
    call(engine, upsert, marks, [{"name": "b", "value": "3"}, {"name": "c", "value": "3"}], ["name"])
    with reading(engine) as connection:
        rows = {row.name: row.value for row in connection.execute(select(marks))}
    assert rows == {"a": "1", "b": "3", "c": "3"}


def test_nothing_to_write_is_nothing_written(engine: Engine) -> None:
    call(engine, insert_new, marks, [])
    call(engine, upsert, marks, [], ["name"])
    call(engine, load_rows, marks, ["name", "value"], [])
    assert call(engine, count_rows, marks) == 0


def test_bulk_rows_are_part_of_the_transaction_around_them(engine: Engine) -> None:
    def work(connection: Connection) -> None:
        load_rows(connection, marks, ["name", "value"], ((f"m{number}", "值") for number in range(3000)))
        assert count_rows(connection, marks) == 3000
        message = "taken back"
        raise ValueError(message)

    with pytest.raises(ValueError, match="taken back"):
        transact(engine, work)
    assert call(engine, count_rows, marks) == 0


def test_foreign_keys_hold_on_every_database(engine: Engine) -> None:
    make_job(engine)
    with pytest.raises(IntegrityError):
        call(engine, lambda connection: connection.execute(corpora.delete()))
