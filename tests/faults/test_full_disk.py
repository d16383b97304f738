"""The database's disk is full in the middle of a job: the work waits and says why, and with room it ends exactly."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.engine import make_url

from storage import ledger
from storage.engine import open_engine, reading
from storage.errors import TransientError
from storage.inspection import last_errors
from storage.word_counts import by_count, current_generation
from tests.support.availability import REPOSITORY
from tests.support.builders import call
from tests.support.deployment import ENDED, assert_adds_up, wait_for
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import CORPUS, counts_of, open_mill, tokens_of, view_of, write_texts
from tests.support.reference import serial_counts, serial_tokens
from tests.support.small_disk import SmallDisk, small_disk

pytestmark = pytest.mark.fault

#: Each of other words than all others, so that every shard has much to write.
TEXTS = [" ".join(f"{number}词{place}" for place in range(150)) for number in range(60)]
SHARD_BYTES = 8_000
#: Seconds.
LEASE_S = 0.5
PATIENCE_S = 180.0
ADVICE = "make room there, and what waits goes on by itself"


def check_full(mill: InlineMill, directory: Path, fill: Callable[[], None], make_room: Callable[[], None]) -> None:
    path = write_texts(directory / "a.jsonl", TEXTS)
    submitted = mill.submit([path], CORPUS, "count", "tokenize", shard_bytes=SHARD_BYTES)
    job_ids = [job.id for job in submitted.jobs]
    fill()
    told: list[str] = []

    def work() -> None:
        try:
            call(mill.parts.engine, ledger.free_lapsed)
            if not mill.messages:
                # A message that came when nothing could be leased is gone; the reconciler finds that.
                call(mill.parts.engine, ledger.unqueue_all)
            mill.work(*job_ids)
        except TransientError as error:
            told.append(str(error))

    def is_told() -> bool:
        work()
        with reading(mill.parts.engine) as connection:
            waiting = [str(row["error"]) for job_id in job_ids for row in last_errors(connection, job_id)]
        return any(ADVICE in sentence for sentence in [*told, *waiting])

    def has_ended() -> bool:
        work()
        return all(view_of(mill, job_id)["state"] in ENDED for job_id in job_ids)

    wait_for(is_told, PATIENCE_S, lambda: "somebody is told that the disk is full")
    assert all(view_of(mill, job_id)["state"] == "RUNNING" for job_id in job_ids)
    make_room()
    wait_for(has_ended, PATIENCE_S, lambda: f"the jobs end: {[view_of(mill, job_id) for job_id in job_ids]}, {told}")
    for job_id in job_ids:
        view = view_of(mill, job_id)
        assert (view["state"], view["failures"], view["dead"]) == ("DONE", 0, 0)
        assert_adds_up(view)
    assert counts_of(mill) == serial_counts(TEXTS)
    assert sorted(tokens_of(mill, job_ids[1])) == sorted(serial_tokens(TEXTS))


def test_a_sqlite_file_that_may_not_grow_delays_a_job_and_nothing_else(
    home: Path, sqlite_url: str, tmp_path: Path
) -> None:
    limits: list[int] = []
    with open_mill(home, sqlite_url, lease_s=LEASE_S) as mill:

        @event.listens_for(mill.parts.engine, "connect")
        def limit(connection: Any, _: object) -> None:
            for pages in limits:
                connection.execute(f"PRAGMA max_page_count = {pages}")

        def fill() -> None:
            with reading(mill.parts.engine) as connection:
                limits.append(int(connection.exec_driver_sql("PRAGMA page_count").scalar() or 0))

        check_full(mill, tmp_path, fill, limits.clear)


@contextmanager
def database_on(disk: SmallDisk, server_url: str) -> Iterator[str]:
    """Have a database whose tables stand on a disk of their own; yields its address."""
    engine = create_engine(make_url(server_url), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        owner = Path(str(connection.exec_driver_sql("SHOW data_directory").scalar())).stat()
        os.chown(disk.path, owner.st_uid, owner.st_gid)
        connection.exec_driver_sql(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
        connection.exec_driver_sql("CREATE DATABASE on_small_disk TABLESPACE small")
    try:
        url = make_url(server_url).set(drivername="postgresql", database="on_small_disk")
        yield url.render_as_string(hide_password=False)
    finally:
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP DATABASE on_small_disk WITH (FORCE)")
            connection.exec_driver_sql("DROP TABLESPACE small")
        engine.dispose()


@pytest.mark.postgres
def test_a_full_disk_under_postgresql_delays_a_job_and_nothing_else(
    home: Path, postgres_url: str, tmp_path: Path
) -> None:
    with (
        small_disk(64) as disk,
        database_on(disk, postgres_url) as url,
        open_mill(home, url, lease_s=LEASE_S) as mill,
    ):
        check_full(mill, tmp_path, disk.fill, disk.make_room)


def shards_done(home: Path) -> int:
    try:
        with closing(sqlite3.connect(f"file:{home / 'hanmill.db'}?mode=ro", uri=True)) as connection:
            return int(connection.execute("SELECT count(*) FROM shards WHERE state = 'DONE'").fetchone()[0])
    except sqlite3.OperationalError:
        return 0


@pytest.mark.timeout(600)
def test_a_run_whose_home_is_full_waits_says_why_and_goes_on_with_room(tmp_path: Path) -> None:
    texts = TEXTS * 5
    path = write_texts(tmp_path / "a.jsonl", texts)
    with small_disk(64) as disk:
        home, told = disk.path / "home", tmp_path / "told"
        command = [sys.executable, "-m", "workers.cli.main", "run", str(path), "--corpus", "x", "--workers", "1"]
        with told.open("wb") as stderr:
            process = subprocess.Popen(
                [*command, "--shard-bytes", "8KB", "--format", "json"],
                env={**os.environ, "HANMILL_HOME": str(home)},
                cwd=REPOSITORY,
                stdout=subprocess.PIPE,
                stderr=stderr,
            )
        try:
            wait_for(lambda: shards_done(home) > 2, PATIENCE_S, lambda: f"it is under way: {told.read_text()}")
            disk.fill()
            # Much is still written into room that the database has; a loaded machine takes a minute to use that up.
            wait_for(lambda: ADVICE in told.read_text(), 180.0, lambda: f"the user is told: {told.read_text()}")
            assert process.poll() is None
            disk.make_room()
            printed, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
        assert process.returncode == 0, told.read_text()
        assert "Traceback" not in told.read_text()
        assert json.loads(printed)["jobs"][0]["documents"] == len(texts)
        engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
        with reading(engine) as connection:
            generation = current_generation(connection, 1)
            assert generation is not None
            rows = {word: (count, documents) for word, count, documents in by_count(connection, generation)}
        engine.dispose()
    assert rows == serial_counts(texts)
