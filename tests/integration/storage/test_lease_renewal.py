"""Leases are renewed beside the writing of a batch's ends, without the two waiting for each other in a circle."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from storage import ledger
from storage.engine import open_engine
from storage.ledger import Lease
from tests.support.builders import call, lease, make_job, outcome, shard_ids
from tests.support.processes import wait_until

pytestmark = pytest.mark.postgres

WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.fixture
def engine(postgres_database: str) -> Iterator[Engine]:
    opened = open_engine(postgres_database)
    yield opened
    opened.dispose()


def renew(engine: Engine, leases: list[Lease]) -> set[int]:
    # Not by `transact`, which would try again after a deadlock.
    with engine.begin() as connection:
        return ledger.renew_all(connection, leases, 60.0, {})


def waits(engine: Engine) -> bool:
    return bool(call(engine, lambda connection: connection.exec_driver_sql(WAITING).scalar()))


def test_a_renewal_takes_its_shards_in_the_order_in_which_a_batch_writes_them(engine: Engine) -> None:
    first, second = (lease(engine, shard_id) for shard_id in shard_ids(engine, make_job(engine, 2)))
    # The first shard's row is behind the second's in the table from now on, where an UPDATE of both comes by it last.
    renew(engine, [first])
    with ThreadPoolExecutor(max_workers=1) as threads:
        with engine.begin() as writing:
            assert ledger.finish(writing, first, outcome())
            renewal = threads.submit(renew, engine, [second, first])
            wait_until(lambda: waits(engine), "the renewal waits for the shard that is being written")
            assert ledger.finish(writing, second, outcome())
        assert renewal.result() == set()
