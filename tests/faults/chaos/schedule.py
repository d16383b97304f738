"""Draws a schedule from its seed: database, workers, operations, texts, and the faults to strike. Runs nothing.

The same seed gives the same schedule on every machine, as long as this file, the samples and the list of fault points
stay as they are.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TypeVar

from storage.fault_points import POINTS, Fault
from tests.faults.chaos.texts import LONGEST, draw_texts

Item = TypeVar("Item")

#: Seconds; of every schedule's deployment.
LEASE_S = 3.0
VISIBILITY_S = 3.0
#: Between these many seconds lasts what must outlast a lease and the visibility timeout, and what need not.
LONG_S = (3.5, 5.0)
SHORT_S = (0.3, 2.0)

#: How documents come into the corpus, and how often of a hundred times.
FEEDS = {"files": 60, "submit": 14, "enqueue": 10, "ingest": 7, "run": 9}
#: Processes of the workers; a schedule has one worker, two or all.
WORKERS = (2, 1, 1)
#: What is done to them, where the feed leaves the choice.
OPERATIONS: dict[tuple[str, ...], int] = {
    ("count",): 50,
    ("tokenize",): 22,
    ("count", "tokenize"): 14,
    ("summarize",): 7,
    ("classify",): 7,
}
#: Kinds of faults that strike from outside, by where they can, and how often of all times.
ANYWHERE = {
    "kill_child": 10,
    "kill_worker": 8,
    "stop_child": 5,
    "stop_worker": 4,
    "terminate": 4,
    "terminate_twice": 3,
    "redis_pause": 4,
    "late_messages": 4,
    "doubled_messages": 6,
    "two_reconcilers": 5,
    "two_beats": 3,
    "fault_point": 26,
}
#: What Redis alone holds, the documents of an ingest message, is lost with it: these are for the other feeds.
FORGETTING = {"redis_kill": 6, "redis_flush": 6, "redis_full": 5}
#: On SQLite the database's clock is that of whoever asks: there is one machine, and no clock beside it to be wrong.
OF_DATABASE = {
    "postgresql": {"postgres_crash": 5, "connections_cut": 6, "clock_ahead": 4, "deadlock": 5},
    "sqlite": {"disk_full": 8},
}
#: What a fault point can do, and how often.
POINT_ACTIONS = {"kill": 55, "stop": 15, "raise": 30}
#: Points that a worker's process reaches while it computes shards.
SHARD_POINTS = tuple(point for point in POINTS if point.startswith(("shard.", "lease.", "dispatch.")))
MERGE_POINTS = ("merge.computed", "partition.deleted", "generation.uncommitted", "job.ended")
BATCH_POINTS = tuple(point for point in POINTS if point.startswith("batch."))
PRODUCER_POINTS = ("submit.refreshed", "submit.made", "plan.started", "plan.added", "plan.sealing", "dispatch.queued")
INGEST_POINTS = ("ingest.uncommitted", "ingest.committed")
#: What SQLAlchemy or a driver may raise only where a transaction is open, for `transact` to see it.
IN_TRANSACTION = tuple(point for point in POINTS if point.endswith(("uncommitted", "done_unwritten", "deleted")))


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault of a schedule."""

    kind: str
    #: The share of the first job's shards that are done when it strikes.
    at: float
    #: Chooses the victim among those that there are then.
    pick: int
    length_s: float
    #: Where it strikes, for those that strike at a point.
    fault: Fault | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        if self.fault is None:
            return f"{self.kind} at {self.at:.0%}"
        error = f" {self.fault.error}" if self.fault.action == "raise" else ""
        return f"{self.kind} {self.fault.action}{error} at {self.fault.point}, time {self.fault.at}"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Everything about one schedule that is decided before it begins."""

    seed: int
    database: str
    feed: str
    operations: tuple[str, ...]
    #: Processes of every worker.
    workers: tuple[int, ...]
    shard_bytes: int
    texts: tuple[str, ...]
    strikes: tuple[Strike, ...]

    @property
    def needs_models(self) -> bool:
        """Say whether a model worker has to be there."""
        return bool({"summarize", "classify"}.intersection(self.operations))

    def plan(self) -> str:
        """Return the plan of its fault points, as JSON."""
        return json.dumps([asdict(strike.fault) for strike in self.strikes if strike.fault is not None])

    def __str__(self) -> str:
        """Say it in a line."""
        strikes = "; ".join(map(str, self.strikes))
        processes = "+".join(map(str, self.workers))
        return (
            f"seed {self.seed}: {self.database}, {self.feed}, {','.join(self.operations)}, "
            f"{len(self.texts)} documents, workers {processes}: {strikes}"
        )


def draw(seed: int) -> Schedule:
    """Return the schedule of a seed."""
    chance = random.Random(seed)
    drawn = chance.choice(("sqlite", "postgresql"))
    feed = _weighted(chance, FEEDS)
    operations = _weighted(chance, OPERATIONS)
    if feed not in {"files", "submit"}:
        operations = ("count",)
    kind = "sqlite" if feed == "run" else drawn
    workers = WORKERS[: chance.choice((1, 2, 2, 2, 3))]
    if {"summarize", "classify"}.intersection(operations):
        workers = workers[:1]
    texts = draw_texts(chance, seed, chance.randint(60, 160))
    shard_bytes = chance.choice((800, 1_500, 3_000))
    turns = _least_turns(texts, shard_bytes if feed in {"files", "submit"} else 3_000, sum(workers))
    # The lot decides how many; most have one alone, of which the recovery can be told.
    number = chance.choice((1, 1, 1, 2, 2, 3))
    strikes = tuple(_strike(chance, kind, feed, operations, turns) for _ in range(number))
    return Schedule(seed, kind, feed, operations, workers, shard_bytes, tuple(texts), strikes)


def _weighted(chance: random.Random, weights: Mapping[Item, int]) -> Item:
    return chance.choices(list(weights), list(weights.values()))[0]


def _least_turns(texts: Sequence[str], shard_bytes: int, processes: int) -> int:
    """Return how many shards the busiest process gets at least, however they are dealt out."""
    total_bytes = sum(len(text.encode()) for text in texts)
    # A shard is cut at the end of the record that makes it full.
    return max(1, total_bytes // (shard_bytes + 4 * LONGEST) // processes)


def _strike(chance: random.Random, database: str, feed: str, operations: Sequence[str], turns: int) -> Strike:
    at, pick = chance.uniform(0.0, 0.6), chance.randrange(1_000)
    if feed == "run":
        return Strike("kill_run", at, pick, 0.0)
    kinds = dict(ANYWHERE)
    if feed != "ingest":
        kinds |= FORGETTING
    if feed == "submit":
        kinds = {"kill_producer": 60, "two_producers": 40, **kinds}
    kinds |= OF_DATABASE[database]
    kind = _weighted(chance, kinds)
    if kind in {"fault_point", "kill_producer"}:
        return Strike(kind, at, pick, chance.uniform(*LONG_S), _fault(chance, kind, feed, operations, turns))
    lasting = LONG_S if kind in {"redis_pause", "stop_child", "stop_worker"} else SHORT_S
    return Strike(kind, at, pick, chance.uniform(*lasting))


def _fault(chance: random.Random, kind: str, feed: str, operations: Sequence[str], turns: int) -> Fault:
    if kind == "kill_producer":
        return Fault(chance.choice(PRODUCER_POINTS), "kill", only=" submit ")
    if feed in {"enqueue", "ingest"} and chance.random() < 0.5:
        # An enqueue is this program's own call; the message's is a worker's.
        points: Sequence[str] = INGEST_POINTS if feed == "ingest" else SHARD_POINTS
    elif {"summarize", "classify"}.intersection(operations):
        points = BATCH_POINTS
    elif "count" in operations and chance.random() < 0.3:
        points = MERGE_POINTS
    else:
        points = SHARD_POINTS
    point = chance.choice(points)
    action = _weighted(chance, POINT_ACTIONS)
    errors = ("bug", "memory", "transient", "refused", *(("serialization",) if point in IN_TRANSACTION else ()))
    # As late as is certain to come; dispatching has something to do now and then only.
    often = point in SHARD_POINTS and not point.startswith("dispatch.")
    return Fault(point, action, at=chance.randint(1, min(6, turns)) if often else 1, error=chance.choice(errors))
