"""One worker's clock is ten minutes ahead: the ledger goes by the database's, and what comes twice is done once."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from storage.engine import reading
from storage.fault_points import fired_path
from storage.schema import attempts
from tests.support.deployment import Deployment
from tests.support.mill_results import write_texts
from tests.support.serial_result import assert_equals_serial
from tests.support.wrong_clock import clock_ahead

pytestmark = [pytest.mark.fault, pytest.mark.postgres]

TEXTS = [f"{number} 北京的天气很好,我们去公园散步。" for number in range(60)]
#: Seconds. Messages count as lost, by the clock that is ahead, as soon as they are fetched.
AHEAD_S = 600
VISIBILITY_S = 4.0
#: Seconds that one shard takes: longer than it takes the clients of the broker to look for lost messages again.
SHARD_S = 8.0


@pytest.fixture
def mill(home: Path, postgres_database: str, redis_url: str) -> Iterator[Deployment]:
    settings = {"lease_s": 60.0, "visibility_timeout_s": VISIBILITY_S, "window": 4}
    made = Deployment(home, postgres_database, redis_url, fault_plan=str(home / "plan.json"), **settings)
    yield made
    made.parts.engine.dispose()


def test_a_worker_whose_clock_is_ahead_takes_nothing_from_the_others_and_writes_no_wrong_time(
    mill: Deployment,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    until: Callable[[Callable[[], bool], str], None],
) -> None:
    plan = Path(mill.settings.fault_plan)
    slow = {"point": "shard.begun", "action": "wait", "wait_s": SHARD_S, "only": "right@"}
    plan.write_text(json.dumps([slow]), encoding="utf-8")
    path = write_texts(tmp_path / "a.jsonl", TEXTS)
    began_at = time.time()
    with mill.workers(name="right"):
        submitted = mill.submit([path], operations=["count", "tokenize"], shard_bytes=600)
        until(fired_path(plan, 0).exists, "the right worker has a shard that takes long")
        for name, value in clock_ahead(AHEAD_S).items():
            monkeypatch.setenv(name, value)
        with mill.workers(name="ahead"):
            views = mill.wait(submitted)
    ended_at = time.time()
    assert_equals_serial(mill, views, TEXTS)
    assert [view["losses"] for view in views] == [0, 0]
    with reading(mill.parts.engine) as connection:
        rows = connection.execute(select(attempts)).all()
    of_ahead = [row for row in rows if row.worker.startswith("ahead@")]
    assert of_ahead
    # The database's clock, whoever wrote.
    assert all(began_at - 5 < row.started_at <= row.finished_at < ended_at + 5 for row in rows)
    assert all(began_at - 5 < view["created_at"] <= view["finished_at"] < ended_at + 5 for view in views)
    # The right worker's message was delivered again while it worked; the ledger said that there was nothing to do.
    log = (mill.settings.home / "worker-ahead.log").read_text(encoding="utf-8")
    assert "nothing to do: the shard is not due any more" in log
    assert {row.shard_id: row.number for row in rows} == {row.shard_id: 1 for row in rows}
