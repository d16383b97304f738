"""The doctor's judgements: from facts to findings, each with its remedy. Looks at nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import StrEnum

from storage.broker_state import BrokerHealth
from storage.redis_keys import REFUSED
from storage.refused_messages import Refused

#: The oldest Redis that Celery's transport works with.
OLDEST_REDIS = (6, 2)
#: The jieba whose tokens are the reference.
JIEBA_VERSION = "0.42.1"
#: Free bytes in the home below which a run is likely to fail, and below which it may.
FAIL_FREE_BYTES = 100 * 1024**2
WARN_FREE_BYTES = 2 * 1024**3
#: Seconds; a worker's main process, which renews its messages, may have to wait for a Redis for a third of that.
SHORTEST_VISIBILITY_S = 30.0
#: The part of its memory from which on a Redis is nearly full.
FULL_MEMORY = 0.8
#: Numbers of jobs that a finding lists at most.
_JOBS_SHOWN = 10


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


def judge_fault_plan(path: str) -> Finding:
    """Warn of a plan of faults, which is there for tests alone."""
    detail = f"HANMILL_FAULT_PLAN={path}: processes die or fail on purpose wherever that file says so"
    return Finding("faults", State.WARN, detail, "unset HANMILL_FAULT_PLAN")


def judge_privacy(home: str, mode: int) -> Finding:
    """Judge who else on this machine may read the home, by its permissions."""
    if not mode & 0o077:
        return Finding("privacy", State.OK, f"{home} is this user's alone")
    detail = f"{home} is open to other users of this machine ({mode & 0o777:o}): texts, results, Flower's password"
    return Finding("privacy", State.WARN, detail, f"chmod 700 {home}")


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


def judge_refused(refused: Sequence[Refused]) -> Finding:
    """Judge what stood in the queue and was no message of ours, the newest first."""
    if not refused:
        return Finding("messages", State.OK, "none was refused")
    newest = refused[0]
    detail = f"{len(refused)} in {REFUSED} were refused; the newest, out of {newest.queue}: {newest.reason}"
    remedy = f"find out who writes into the queue, then forget them: redis-cli del {REFUSED}"
    return Finding("messages", State.WARN, detail, remedy)


def judge_time_limits(*, soft_s: float, hard_s: float, visibility_s: float) -> Finding:
    """Judge whether a shard may fail before it is ended, and whether workers can renew what they hold in time."""
    detail = f"soft {soft_s:g} s, hard {hard_s:g} s, visibility {visibility_s:g} s"
    if soft_s >= hard_s:
        remedy = "set HANMILL_SOFT_TIME_LIMIT_S < HANMILL_HARD_TIME_LIMIT_S"
        return Finding("time limits", State.FAIL, f"{detail}: a shard is killed before it may fail in order", remedy)
    if visibility_s < SHORTEST_VISIBILITY_S:
        remedy = f"set HANMILL_VISIBILITY_TIMEOUT_S to {SHORTEST_VISIBILITY_S:g} or more"
        return Finding("time limits", State.WARN, f"{detail}: what a busy worker holds is delivered again", remedy)
    return Finding("time limits", State.OK, detail)


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


def judge_figures(wrong_jobs: Sequence[int]) -> Finding:
    """Judge whether the figures of every finished job add up."""
    if not wrong_jobs:
        return Finding("figures", State.OK, "of every finished job, documents in = results + dead letters")
    shown = ", ".join(map(str, wrong_jobs[:_JOBS_SHOWN])) + (", …" if len(wrong_jobs) > _JOBS_SHOWN else "")
    remedy = f"see `hanmill status {wrong_jobs[0]}` and report it: this is a bug, or rows were changed by hand"
    return Finding("figures", State.FAIL, f"the figures of {len(wrong_jobs)} jobs do not add up: {shown}", remedy)


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
