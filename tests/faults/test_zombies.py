"""A worker that stands still past its lease, wherever, costs its shard some seconds; awake again it changes nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, select
from sqlalchemy.engine import make_url

from storage import ledger
from storage.engine import open_engine, reading
from storage.frozen_sessions import end_frozen
from storage.inspection import last_errors
from storage.schema import attempts, dead_letters, documents, jobs, marks, partial_counts, shards, tokens, word_counts
from tests.support.availability import REPOSITORY
from tests.support.builders import call, lease, make_job, shard_ids
from tests.support.deployment import ENDED, assert_adds_up, wait_for
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import CORPUS, counts_of, open_mill, tokens_of, view_of, write_texts
from tests.support.processes import wait_until
from tests.support.reference import serial_counts, serial_tokens
from tests.support.zombie_process import zombie

pytestmark = pytest.mark.fault

TEXTS = [f"{number} 北京的天气很好,我们去公园散步。" for number in range(20)]
#: Seconds.
LEASE_S = 1.0
PATIENCE_S = 180.0
#: Seconds; where a deployment has a minute or two.
STANDSTILL_S = 1.0
#: All that a late commit could change.
TABLES = (attempts, dead_letters, documents, jobs, partial_counts, shards, tokens, word_counts)


def impatient(database_url: str) -> str:
    """Return an address by which PostgreSQL soon gives up who stands still in a transaction."""
    url = make_url(database_url)
    if url.get_backend_name() == "postgresql":
        timeout = f"-c idle_in_transaction_session_timeout={STANDSTILL_S}s"
        url = url.update_query_dict({"options": timeout})
    return url.render_as_string(hide_password=False)


@pytest.fixture
def mill(home: Path, database_url: str) -> Iterator[InlineMill]:
    with open_mill(home, impatient(database_url), lease_s=LEASE_S) as made:
        yield made


@pytest.fixture
def mill_pg(home: Path, postgres_database: str) -> Iterator[InlineMill]:
    with open_mill(home, impatient(postgres_database), lease_s=LEASE_S) as made:
        yield made


def everything(engine: Engine) -> dict[str, list[Any]]:
    """Return all rows of all tables that results and the ledger stand in."""
    with reading(engine) as connection:
        return {table.name: sorted(connection.execute(select(table)), key=repr) for table in TABLES}


def errors_of(mill: InlineMill, job_id: int) -> list[dict[str, Any]]:
    with reading(mill.parts.engine) as connection:
        return last_errors(connection, job_id)


def others_do_it(mill: InlineMill, job_id: int) -> None:
    """Work as another worker does until a job has ended, also on what lapses meanwhile."""

    def is_done() -> bool:
        # As the reconciler does, with more patience.
        end_frozen(mill.parts.engine, STANDSTILL_S)
        call(mill.parts.engine, ledger.free_lapsed)
        mill.work(job_id)
        return view_of(mill, job_id)["state"] in ENDED

    wait_for(is_done, PATIENCE_S, lambda: f"the job ends: {view_of(mill, job_id)}, {errors_of(mill, job_id)}")


def check_zombie(mill: InlineMill, directory: Path, operation: str, point: str) -> None:
    path = write_texts(directory / "a.jsonl", TEXTS)
    job_id = mill.submit([path], CORPUS, operation, shard_bytes=600).jobs[0].id
    shard_id = mill.messages[0][0]
    # The parsed dictionary that the tests share.
    (mill.parts.settings.cache_dir).rmdir()
    mill.parts.settings.cache_dir.symlink_to(mill.parts.workplace.cache_dir)
    with zombie(mill.parts.settings, shard_id, point) as sleeper:
        others_do_it(mill, job_id)
        view = view_of(mill, job_id)
        assert (view["state"], view["losses"]) == ("DONE", 1)
        assert_adds_up(view)
        if operation == "count":
            assert counts_of(mill) == serial_counts(TEXTS)
        else:
            assert sorted(tokens_of(mill, job_id)) == sorted(serial_tokens(TEXTS))
        before = everything(mill.parts.engine)
        assert sleeper.is_stopped()
        assert sleeper.wake() == "lost"
    assert everything(mill.parts.engine) == before


def test_who_computed_past_its_lease_commits_nothing(mill: InlineMill, tmp_path: Path) -> None:
    check_zombie(mill, tmp_path, "count", "shard.computed")


@pytest.mark.postgres
@pytest.mark.parametrize("operation", ["count", "tokenize"])
def test_who_stands_still_in_the_middle_of_its_commit_holds_no_row_for_ever(
    mill_pg: InlineMill, tmp_path: Path, operation: str
) -> None:
    check_zombie(mill_pg, tmp_path, operation, "shard.uncommitted")


#: Holds a shard and stands still in the middle of a COPY; says how that ended when it is woken.
COPY = """
import os, signal, sys
from storage import ledger
from storage.engine import load_rows, open_engine, transact
from storage.errors import HanmillError
from storage.schema import marks

engine = open_engine(sys.argv[1])
held = transact(engine, lambda connection: ledger.lease(connection, int(sys.argv[2]), "zombie@test/1/1", 60.0))
trials = []

def rows():
    yield ("half", "written")
    if not trials:
        trials.append(1)
        os.kill(os.getpid(), signal.SIGSTOP)
    yield ("other half", "written")

def work(connection):
    if not ledger.holds(connection, held):
        return "lost"
    load_rows(connection, marks, ["name", "value"], rows())
    return "written"

print(transact(engine, work))
"""


@pytest.mark.postgres
def test_who_stands_still_in_the_middle_of_a_copy_holds_no_row_for_ever(postgres_database: str) -> None:
    engine = open_engine(postgres_database)
    (shard_id,) = shard_ids(engine, make_job(engine, 1))
    command = [sys.executable, "-c", COPY, postgres_database, str(shard_id)]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            copying = psutil.Process(process.pid)
            wait_until(lambda: copying.status() == psutil.STATUS_STOPPED, "the process stands still")
            assert end_frozen(engine) == 0
            wait_until(lambda: end_frozen(engine, silence_s=0.1) == 1, "its session is ended")
            wait_until(
                lambda: call(engine, ledger.free_worker, "zombie@test/") == 1, "the shard that it held is free again"
            )
            taken = lease(engine, shard_id, "other@test/1/1")
            process.send_signal(signal.SIGCONT)
            assert process.communicate(timeout=PATIENCE_S)[0].strip() == "lost"
        finally:
            process.kill()
    assert call(engine, ledger.holds, taken)
    with reading(engine) as connection:
        assert "half" not in set(connection.scalars(select(marks.c.name)))
    engine.dispose()
