"""Programs of two revisions work side by side on one database, before, while and after it is upgraded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import inspect, select

from storage import ledger
from storage.engine import open_engine, reading
from storage.errors import UsageError
from storage.migrate import check_schema, current_revision, is_rolling, suits, upgrade
from storage.revisions import head_revision
from storage.schema import attempts
from tests.support.availability import REPOSITORY
from tests.support.builders import LEASE_S, call, make_job
from tests.support.deployment import Deployment, assert_adds_up, stop, wait_for
from tests.support.reference import serial_counts

#: A migration as a later version of the program would bring it.
NEXT_STEP = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{head}"
branch_labels = None
depends_on = None
{promise}

def upgrade():
    op.create_table("later_facts", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("shards", sa.Column("later_note", sa.String(20)))


def downgrade():
    op.drop_column("shards", "later_note")
    op.drop_table("later_facts")
"""
#: Documents of the sample that are enough for some dozens of shards.
SOME = 40
NEXT = f"{int(head_revision()) + 1:04}"
ROLLING = f'oldest_program = "{head_revision()}"'


class LaterProgram:
    """This program with one migration more, in a directory of its own."""

    def __init__(self, directory: Path, promise: str) -> None:
        self.directory = directory
        directory.mkdir()
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(REPOSITORY / "storage", directory / "storage", ignore=ignore)
        for name in ("workers", "tasks"):
            (directory / name).symlink_to(REPOSITORY / name)
        step = NEXT_STEP.format(revision=NEXT, head=head_revision(), promise=promise)
        versions = directory / "storage" / "migrations" / "versions"
        (versions / f"{NEXT}_later.py").write_text(step, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "workers.cli.main", *words]

    def environment(self, database_url: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.directory), "HANMILL_DATABASE_URL": database_url}

    def run(self, database_url: str, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=self.environment(database_url),
            cwd=self.directory,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )


@contextmanager
def worker_of(later: LaterProgram, deployment: Deployment) -> Iterator[None]:
    environment = {**deployment.environment(), "PYTHONPATH": str(later.directory)}
    with (deployment.settings.home / "worker-later.log").open("ab") as log:
        command = later.command("worker", "cpu", "--concurrency", "1", "--name", "later")
        worker = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=later.directory)
    try:
        yield
    finally:
        stop(worker)


def names_at_work(deployment: Deployment) -> set[str]:
    with reading(deployment.parts.engine) as connection:
        return {str(name).split("@")[0] for name in connection.scalars(select(attempts.c.worker).distinct())}


@pytest.fixture
def rolling(tmp_path: Path) -> LaterProgram:
    return LaterProgram(tmp_path / "later", ROLLING)


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_old_and_new_workers_work_side_by_side_and_nothing_is_lost(
    home: Path, empty_database_url: str, redis_url: str, sample_texts: list[str], rolling: LaterProgram, tmp_path: Path
) -> None:
    engine = open_engine(empty_database_url)
    upgrade(engine)
    deployment = Deployment(home, empty_database_url, redis_url)
    source = tmp_path / "texts"
    source.mkdir()
    texts = sample_texts[:SOME]
    for number, text in enumerate(texts):
        (source / f"{number}.txt").write_text(text, encoding="utf-8")

    with deployment.workers(1, name="before"):
        first = deployment.submit([source], "first", shard_bytes=2000)
        wait_for(lambda: "before" in names_at_work(deployment), 60, lambda: "an old worker is at work")
        upgraded = rolling.run(empty_database_url, "db", "upgrade")
        assert upgraded.returncode == 0, upgraded.stderr
        assert current_revision(engine) == NEXT
        views = deployment.wait(first)
    # After the upgrade a worker of the old program can be started too: a machine that crashed, a step back.
    submitted = [*first.jobs]
    with deployment.workers(1, name="again"), worker_of(rolling, deployment):
        for number in range(20):
            later = deployment.submit([source], f"corpus-{number}", shard_bytes=2000)
            views += deployment.wait(later)
            submitted += later.jobs
            if {"again", "later"} <= names_at_work(deployment):
                break
    assert {"before", "again", "later"} <= names_at_work(deployment)
    assert {view["state"] for view in views} == {"DONE"}
    for view in views:
        assert_adds_up(view)
    expected = serial_counts(texts)
    corpora = ["first", *(f"corpus-{number}" for number in range(len(submitted) - 1))]
    assert all(deployment.counts(corpus) == expected for corpus in corpora)
    deployment.parts.engine.dispose()
    engine.dispose()


def test_the_old_program_says_that_it_works_with_the_newer_database(
    empty_database_url: str, rolling: LaterProgram
) -> None:
    engine = open_engine(empty_database_url)
    upgrade(engine)
    assert "what runs may go on meanwhile" in rolling.run(empty_database_url, "db", "check").stderr
    assert rolling.run(empty_database_url, "db", "upgrade").returncode == 0
    check_schema(engine)
    assert suits(engine)
    upgrade(engine)
    assert current_revision(engine) == NEXT
    assert "later_facts" in inspect(engine).get_table_names()
    engine.dispose()


def test_a_change_that_breaks_the_old_program_is_refused_by_it(empty_database_url: str, tmp_path: Path) -> None:
    breaking = LaterProgram(tmp_path / "later", "")
    engine = open_engine(empty_database_url)
    upgrade(engine)
    assert "stop what runs first" in breaking.run(empty_database_url, "db", "check").stderr
    assert breaking.run(empty_database_url, "db", "upgrade").returncode == 0
    assert not suits(engine)
    with pytest.raises(UsageError, match=f"{NEXT}, which this program does not know .* install a newer hanmill"):
        check_schema(engine)
    assert is_rolling(engine)
    engine.dispose()


def test_a_change_that_breaks_the_old_program_waits_until_nothing_is_held(
    empty_database_url: str, tmp_path: Path
) -> None:
    breaking = LaterProgram(tmp_path / "later", "")
    engine = open_engine(empty_database_url)
    upgrade(engine)
    for shard_id in call(engine, ledger.queue_due, make_job(engine, 2), 2):
        assert call(engine, ledger.lease, shard_id, "old@mill1/1/2", LEASE_S) is not None
    refused = breaking.run(empty_database_url, "db", "upgrade")
    assert refused.returncode == 2
    assert "2 shards are held by programs that this change would break; stop every worker" in refused.stderr
    assert current_revision(engine) == head_revision()
    assert breaking.run(empty_database_url, "db", "upgrade", "--force").returncode == 0
    engine.dispose()
