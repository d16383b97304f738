"""The schedules that visit every named point: one a point and database, in which whoever comes by is killed there.

They have seeds like the drawn ones, from `FIRST_SEED` on, so that each can be played again by itself.
"""

from __future__ import annotations

import random

from storage.fault_points import POINTS, Fault
from tests.faults.chaos.schedule import LONG_S, WORKERS, Schedule, Strike, draw
from tests.faults.chaos.texts import draw_texts

#: The seed of the first of them.
FIRST_SEED = 1_000_000
DATABASES = ("sqlite", "postgresql")
#: Points at which a kill costs a minute, until another takes the dead starter's place: an error is raised instead.
RAISED = ("schedule.claimed", "schedule.planned")


def sweep_seeds() -> range:
    """Return the seeds that visit every point on every database."""
    return range(FIRST_SEED, FIRST_SEED + len(POINTS) * len(DATABASES))


def schedule_of(seed: int) -> Schedule:
    """Return the schedule of any seed."""
    return draw(seed) if seed < FIRST_SEED else point_schedule(seed)


def point_schedule(seed: int) -> Schedule:
    """Return the schedule of such a seed."""
    place, which = divmod(seed - FIRST_SEED, len(DATABASES))
    point = sorted(POINTS)[place]
    chance = random.Random(seed)
    feed, operation = _way_to(point)
    one_shard = point == "split.uncommitted"
    texts = draw_texts(chance, seed, 6 if one_shard else 60)
    return Schedule(
        seed,
        DATABASES[which],
        feed,
        (operation,),
        WORKERS[:1] if operation == "summarize" else WORKERS[:2],
        1_000_000 if one_shard else 1_500,
        tuple(texts),
        tuple(_strikes(point)),
    )


def _way_to(point: str) -> tuple[str, str]:
    """Return the feed and the operation that come by a point."""
    family = point.partition(".")[0]
    if family == "batch":
        return "files", "summarize"
    feeds = {"ingest": "ingest", "submit": "submit", "plan": "submit", "schedule": "schedule"}
    return feeds.get(family, "files"), "count"


def _strikes(point: str) -> list[Strike]:
    length_s = LONG_S[0]
    if point.startswith(("submit.", "plan.")):
        return [Strike("kill_producer", 0.0, 0, length_s, Fault(point, "kill", only=" submit "))]
    fault = Fault(point, "raise", error="transient") if point in RAISED else Fault(point, "kill")
    strike = Strike("fault_point", 0.0, 0, length_s, fault)
    match point:
        case "split.uncommitted":
            # The one shard fails until it is halved.
            failing = Fault("shard.begun", "raise", times=3)
            return [Strike("fault_point", 0.0, 0, length_s, failing), strike]
        case "reconcile.freed":
            # Whoever stands still for longer than the lease loses it.
            return [Strike("fault_point", 0.0, 0, length_s, Fault("shard.begun", "stop")), strike]
        case "reconcile.epoch":
            return [Strike("redis_flush", 0.2, 0, 0.0), strike]
    return [strike]
