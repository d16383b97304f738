"""The doctor's judgements: from facts to findings, each with its remedy. Looks at nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from storage.broker_state import BrokerHealth

#: The oldest Redis that Celery's transport works with.
OLDEST_REDIS = (6, 2)
#: The jieba whose tokens are the reference.
JIEBA_VERSION = "0.42.1"
#: Free bytes in the home below which a run is likely to fail, and below which it may.
FAIL_FREE_BYTES = 100 * 1024**2
WARN_FREE_BYTES = 2 * 1024**3
#: The part of its memory from which on a Redis is nearly full.
FULL_MEMORY = 0.8


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; the remedy is empty when there is nothing to do."""

    name: str
    state: State
    detail: str
    remedy: str = ""


def judge_home(home: str, fault: str | None) -> Finding:
    """Judge whether the home can be written."""
    if fault is None:
        return Finding("home", State.OK, f"{home} can be written")
    return Finding("home", State.FAIL, fault, "set HANMILL_HOME to a directory that this user may write")


def judge_disk(home: str, free_bytes: int) -> Finding:
    """Judge the space that is left in the home."""
    detail = f"{free_bytes / 1024**3:.1f} GB are free in {home}"
    if free_bytes >= WARN_FREE_BYTES:
        return Finding("disk", State.OK, detail)
    state = State.FAIL if free_bytes < FAIL_FREE_BYTES else State.WARN
    return Finding("disk", state, detail, "make room, or set HANMILL_HOME to a larger disk")


def judge_database(shown_url: str, fault: str | None) -> Finding:
    """Judge whether the database answers."""
    if fault is None:
        return Finding("database", State.OK, f"{shown_url} answers")
    return Finding("database", State.FAIL, fault, "start the database, or correct HANMILL_DATABASE_URL")


def judge_schema(found: str | None, head: str, *, is_known: bool, suits: bool) -> Finding:
    """Judge the revision at which the database stands.

    `is_known` says whether this program knows it, `suits` whether it works with it.
    """
    if found == head:
        return Finding("schema", State.OK, f"revision {found}, as this program needs")
    if suits:
        detail = f"revision {found}, newer than this program ({head}) and marked as suiting it"
        return Finding("schema", State.OK, detail)
    if not is_known:
        return Finding("schema", State.FAIL, f"revision {found} is newer than this program", "install a newer hanmill")
    stands = "no tables yet" if found is None else f"revision {found}, this program needs {head}"
    return Finding("schema", State.FAIL, stands, "run `hanmill db upgrade`")


def judge_broker(shown_url: str, fault: str | None, *, is_needed: bool) -> Finding:
    """Judge whether the broker answers; a machine that only uses `hanmill run` needs none."""
    if fault is None:
        return Finding("broker", State.OK, f"{shown_url} answers")
    if is_needed:
        return Finding("broker", State.FAIL, fault, "start the broker, or correct HANMILL_BROKER_URL")
    detail = f"none at {shown_url}; `hanmill run` brings its own"
    return Finding("broker", State.WARN, detail, "for `hanmill submit` and `worker`, set HANMILL_BROKER_URL")


def judge_redis(health: BrokerHealth) -> list[Finding]:
    """Judge how a Redis is set up."""
    return [_version(health), _eviction(health), _persistence(health), _memory(health)]


def _version(health: BrokerHealth) -> Finding:
    numbers = tuple(int(part) for part in health.version.split(".")[:2] if part.isdigit())
    if numbers >= OLDEST_REDIS:
        return Finding("redis version", State.OK, health.version)
    oldest = ".".join(map(str, OLDEST_REDIS))
    return Finding("redis version", State.FAIL, health.version, f"install Redis {oldest} or newer, or Valkey")


def _eviction(health: BrokerHealth) -> Finding:
    if health.eviction_policy == "noeviction":
        return Finding("redis eviction", State.OK, "noeviction")
    detail = f"{health.eviction_policy}: a full Redis throws messages away without a word"
    return Finding("redis eviction", State.FAIL, detail, "set maxmemory-policy noeviction")


def _persistence(health: BrokerHealth) -> Finding:
    if health.persistent:
        return Finding("redis persistence", State.OK, "on")
    detail = "off: after a restart the reconciler sends what was queued again; ingest messages would be lost"
    return Finding("redis persistence", State.WARN, detail, "set appendonly yes")


def _memory(health: BrokerHealth) -> Finding:
    used = f"{health.used_memory_bytes / 1024**2:.0f} MB used"
    if not health.maxmemory_bytes:
        return Finding("redis memory", State.OK, f"{used}, no limit")
    detail = f"{used} of {health.maxmemory_bytes / 1024**2:.0f} MB"
    if health.used_memory_bytes < FULL_MEMORY * health.maxmemory_bytes:
        return Finding("redis memory", State.OK, detail)
    return Finding("redis memory", State.WARN, detail, "raise maxmemory: a full Redis takes no messages")


def judge_time_limits(*, soft_s: float, hard_s: float, visibility_s: float) -> Finding:
    """Judge whether a shard is ended before its message is delivered a second time."""
    detail = f"soft {soft_s:g} s, hard {hard_s:g} s, visibility {visibility_s:g} s"
    if soft_s < hard_s < visibility_s:
        return Finding("time limits", State.OK, detail)
    remedy = "set HANMILL_SOFT_TIME_LIMIT_S < HANMILL_HARD_TIME_LIMIT_S < HANMILL_VISIBILITY_TIMEOUT_S"
    return Finding("time limits", State.FAIL, f"{detail}: a shard that runs could be delivered again", remedy)


def judge_consumers(waiting: Mapping[str, int], consumed: AbstractSet[str]) -> Finding:
    """Judge whether every queue that has work (shards that wait, by queue) has a worker."""
    unserved = {queue: shards for queue, shards in waiting.items() if shards and queue not in consumed}
    if not unserved:
        detail = f"queues with a worker: {', '.join(sorted(consumed)) or 'none, and none has work'}"
        return Finding("workers", State.OK, detail)
    detail = "; ".join(
        f"{shards} shards wait in {queue} and no worker consumes it" for queue, shards in unserved.items()
    )
    return Finding("workers", State.FAIL, detail, "start `hanmill worker cpu`")


def judge_unfinished(waiting: Mapping[str, int]) -> Finding:
    """Judge what an embedded home has left to do; whether a run goes on just now is not known."""
    shards = sum(waiting.values())
    if not shards:
        return Finding("workers", State.OK, "nothing waits; `hanmill run` brings its own")
    detail = f"{shards} shards wait for a `hanmill run`"
    return Finding("workers", State.WARN, detail, "unless one goes on just now, start the same `hanmill run` again")


def judge_fast_engine(installed: str | None, proven: str) -> Finding:
    """Judge whether the engine is there that gives jieba's tokens in a fraction of the time."""
    if installed == proven:
        return Finding("rjieba", State.OK, f"{installed}: the very tokens of jieba, several times as fast")
    detail = f"{installed or 'none'} is installed, and {proven} is proven to give jieba's tokens: jieba itself cuts"
    return Finding("rjieba", State.WARN, detail, f"pip install rjieba=={proven}")


def judge_jieba(version: str | None) -> Finding:
    """Judge whether the tokens will be those of the reference."""
    if version == JIEBA_VERSION:
        return Finding("jieba", State.OK, version)
    return Finding("jieba", State.FAIL, version or "not installed", f"pip install jieba=={JIEBA_VERSION}")
