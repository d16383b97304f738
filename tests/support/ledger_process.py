"""What a process does that shares a ledger with others, for tests that start several of them."""

from __future__ import annotations

from collections.abc import Sequence

from storage import ledger
from storage.engine import open_engine
from tests.support.builders import call, outcome, try_lease


def work_through(database_url: str, shard_ids: Sequence[int], worker: str) -> int:
    """Run every shard that nobody else has; return how many that were."""
    engine = open_engine(database_url)
    done = 0
    for shard_id in shard_ids:
        held = try_lease(engine, shard_id, worker)
        if held is not None:
            assert call(engine, ledger.renew_all, [held], 60.0, {shard_id: 50}) == {shard_id}
            assert call(engine, ledger.finish, held, outcome())
            done += 1
    engine.dispose()
    return done
