"""Faults of the databases: PostgreSQL crashed, its connections cut, a circle of waiting; the disk full under SQLite.

Each returns what proves that it struck, or None.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from tests.faults.chaos.schedule import Strike
from tests.faults.chaos.stage import Stage

#: Seconds until a circle with a worker must have come about.
CIRCLE_PATIENCE_S = 20.0


def _postgres_crash(stage: Stage, one: Strike) -> str | None:
    assert stage.arena.postgres is not None
    ended = stage.arena.postgres.crash()
    time.sleep(one.length_s)
    stage.arena.postgres.start()
    return f"{ended} processes of the server killed" if ended else None


def _connections_cut(stage: Stage, one: Strike) -> str | None:
    assert stage.arena.postgres is not None
    cut = stage.arena.postgres.cut_connections()
    return f"{cut} connections cut" if cut else None


def _deadlock(stage: Stage, one: Strike) -> str | None:
    """Take what a worker's transaction needs last, and ask for what it took first, until one waits in a circle."""
    assert stage.arena.postgres is not None
    deadline = time.monotonic() + CIRCLE_PATIENCE_S
    tries = 0
    while not stage.watch.is_over and time.monotonic() < deadline:
        tries += 1
        # Whoever leases a shard or ends one writes the shard, and then its attempt.
        if refused := stage.arena.postgres.wait_in_circle("attempts", "shards"):
            return f"{refused} transactions refused (40P01) at try {tries}"
    return None


def _disk_full(stage: Stage, one: Strike) -> str | None:
    disk = stage.arena.disk
    if disk is None:
        return None
    disk.fill()
    try:
        proof = disk.refusal()
        time.sleep(one.length_s)
    finally:
        disk.make_room()
    return proof


DATABASE_STRIKES: dict[str, Callable[[Stage, Strike], str | None]] = {
    "postgres_crash": _postgres_crash,
    "connections_cut": _connections_cut,
    "deadlock": _deadlock,
    "disk_full": _disk_full,
}
