"""Lets the faults of a schedule strike. Each function returns what proves that its fault did, or None when it did not.

A fault that comes too late, when everything has ended, or finds no victim, did not strike and is not counted.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

import psutil
import redis
from sqlalchemy import select

from storage.broker_state import client_url
from storage.engine import reading
from storage.errors import HanmillError
from storage.schema import attempts, shards
from tasks.operation import get_operation
from tests.faults.chaos.arena import Arena, Worker, has_wrong_clocks
from tests.faults.chaos.database_strikes import DATABASE_STRIKES
from tests.faults.chaos.schedule import Schedule, Strike
from tests.faults.chaos.stage import LOOK_S, PATIENCE_S, Stage, Struck
from tests.support.wrong_clock import clock_ahead

#: Seconds by which a clock is ahead.
AHEAD_S = 600
#: Bytes of memory with which Redis takes no command that writes.
TOO_LITTLE_BYTES = 1


def strike(stage: Stage, one: Strike, number: int) -> Struck | None:
    """Let one fault strike when its time has come; `number` is its place among the schedule's fault points."""
    if one.kind in {"fault_point", "kill_producer"}:
        return _at_point(stage, one, number)
    if one.kind == "late_messages":
        return _late_messages(stage, one)
    if one.kind not in STRIKES or not stage.watch.until_share(one.at, PATIENCE_S):
        return None
    # Two of them at one server would undo each other.
    with stage.arena.lock:
        if stage.watch.is_over:
            return None
        began = time.time()
        try:
            proof = STRIKES[one.kind](stage, one)
        except (HanmillError, redis.RedisError, psutil.NoSuchProcess):
            # Another fault was there first.
            return None
    return Struck(one.kind, began, proof) if proof else None


# --- processes


def _victim(stage: Stage, one: Strike) -> Worker:
    workers = stage.arena.all_workers() if stage.schedule.needs_models else stage.arena.workers
    return workers[one.pick % len(workers)]


def _kill_child(stage: Stage, one: Strike) -> str | None:
    worker = _victim(stage, one)
    if not stage.wait(lambda: bool(worker.children()), 5.0):
        return None
    children = worker.children()
    return _killed([children[one.pick % len(children)]]) if children else None


def _kill_worker(stage: Stage, one: Strike) -> str | None:
    worker = _victim(stage, one)
    children = worker.children()
    process = worker.process
    if process.poll() is not None:
        return None
    # Every second time its children go with it, as when a machine fails.
    process.kill()
    proof = f"pid {process.pid} ended with {process.wait()}"
    return f"{proof}; {_killed(children)}" if one.pick % 2 else proof


def _killed(processes: Sequence[psutil.Process]) -> str | None:
    ended = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
            ended.append(process)
    gone = [process for process in ended if _is_gone(process)]
    return f"killed {', '.join(str(process.pid) for process in gone)}" if gone else None


def _is_gone(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(LOOK_S)
    return False


def _stop_child(stage: Stage, one: Strike) -> str | None:
    children = _victim(stage, one).children()
    return _held_up(stage, children[one.pick % len(children) :][:1], one.length_s) if children else None


def _stop_worker(stage: Stage, one: Strike) -> str | None:
    worker = _victim(stage, one)
    with suppress(psutil.NoSuchProcess):
        return _held_up(stage, [psutil.Process(worker.process.pid), *worker.children()], one.length_s)
    return None


def _held_up(stage: Stage, processes: Sequence[psutil.Process], length_s: float) -> str | None:
    """Stop processes for longer than a lease, then let them go on: they are late, and must change nothing."""
    stopped = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.suspend()
            stopped.append(process)
    stage.hold(length_s)
    stood = []
    for process in stopped:
        with suppress(psutil.NoSuchProcess):
            if process.status() == psutil.STATUS_STOPPED:
                stood.append(process.pid)
            process.resume()
    return f"stood still: {stood}" if stood else None


def _terminate(stage: Stage, one: Strike) -> str | None:
    return _terminated(stage, one, times=1)


def _terminate_twice(stage: Stage, one: Strike) -> str | None:
    return _terminated(stage, one, times=2)


def _terminated(stage: Stage, one: Strike, times: int) -> str | None:
    process = _victim(stage, one).process
    if process.poll() is not None:
        return None
    for _ in range(times):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    # To its end, also when the jobs have ended meanwhile.
    try:
        return f"pid {process.pid} ended with {process.wait(timeout=20.0)}"
    except subprocess.TimeoutExpired:
        return None


# --- Redis


def _redis_kill(stage: Stage, one: Strike) -> str | None:
    before = _run_of(stage)
    stage.arena.redis.stop()
    time.sleep(one.length_s)
    stage.arena.redis.start()
    after = _run_of(stage)
    return f"run {before[:8]} gave way to {after[:8]}" if before != after else None


def _run_of(stage: Stage) -> str:
    with stage.arena.redis.client() as client:
        return str(client.info("server")["run_id"])


def _redis_flush(stage: Stage, one: Strike) -> str | None:
    with stage.arena.redis.client() as client:
        keys = client.dbsize()
        client.flushall()
    return f"{keys} keys forgotten" if keys else None


def _redis_pause(stage: Stage, one: Strike) -> str | None:
    with stage.arena.redis.standing_still():
        is_silent = _is_silent(stage)
        time.sleep(one.length_s)
    return f"stood still for {one.length_s:.1f} s" if is_silent else None


def _is_silent(stage: Stage) -> bool:
    with redis.Redis.from_url(client_url(stage.arena.redis.url), socket_timeout=0.3) as client:
        try:
            client.ping()
        except redis.TimeoutError:
            return True
    return False


def _redis_full(stage: Stage, one: Strike) -> str | None:
    with stage.arena.redis.client() as client:
        client.config_set("maxmemory", TOO_LITTLE_BYTES)
        try:
            proof = _refusal(client)
            time.sleep(one.length_s)
        finally:
            client.config_set("maxmemory", 0)
    return proof


def _refusal(client: redis.Redis) -> str | None:
    try:
        client.set("chaos.probe", "1")
    except redis.ResponseError as error:
        return str(error)
    return None


# --- messages


def _doubled_messages(stage: Stage, one: Strike) -> str | None:
    return _sent_again(stage)


def _late_messages(stage: Stage, one: Strike) -> Struck | None:
    if not stage.wait(lambda: stage.watch.is_over, 2 * PATIENCE_S):
        return None
    began = time.time()
    proof = _sent_again(stage)
    return Struck(one.kind, began, proof) if proof else None


def _sent_again(stage: Stage) -> str | None:
    """Publish a message for every shard of the jobs once more, whatever has become of it."""
    sent = 0
    for view in stage.watch.views:
        with suppress(HanmillError):
            with reading(stage.arena.deployment.parts.engine) as connection:
                ids = list(connection.scalars(select(shards.c.id).where(shards.c.job_id == view["id"])))
            queue = get_operation(view["operation"]).queue
            stage.arena.deployment.publisher.publish_shards(queue, ids, view["id"])
            sent += len(ids)
    return f"{sent} messages sent again" if sent else None


# --- two at once


def _two_reconcilers(stage: Stage, one: Strike) -> str | None:
    until = time.monotonic() + one.length_s
    passes = [0, 0]

    def reconcile(which: int) -> None:
        while time.monotonic() < until and not stage.over.is_set():
            with suppress(HanmillError):
                stage.arena.deployment.reconcile()
                passes[which] += 1

    threads = [threading.Thread(target=reconcile, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return f"{passes[0]} and {passes[1]} passes" if min(passes) else None


def _two_beats(stage: Stage, one: Strike) -> str | None:
    """Two beats were started before, and both have asked for something; one of them is killed."""
    if not all(_has_asked(stage.arena, name) for name in BEATS):
        return None
    return _killed([psutil.Process(stage.arena.beats[one.pick % len(BEATS)].pid)])


def _has_asked(arena: Arena, beat: str) -> bool:
    return "Sending due task" in (arena.home / f"{beat}.log").read_text(encoding="utf-8")


#: The names of the two.
BEATS = ("beat1", "beat2")


def prepare(arena: Arena, schedule: Schedule) -> None:
    """Do what must be there before the schedule begins: two beats, and a worker with another clock."""
    kinds = {one.kind: one for one in schedule.strikes}
    if "two_beats" in kinds:
        for name in BEATS:
            (arena.home / f"{name}.log").unlink(missing_ok=True)
        arena.beats = [arena.beat(name) for name in BEATS]
        # Starting one takes longer than most schedules do.
        _until(lambda: all(map(partial(_has_asked, arena), BEATS)))
    if "clock_ahead" in kinds and has_wrong_clocks():
        worker = arena.workers[kinds["clock_ahead"].pick % len(arena.workers)]
        worker.clock = clock_ahead(AHEAD_S)
        worker.process.kill()
        worker.process.wait()
        arena.tend()
        _until(worker.is_ready)


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(LOOK_S)


def undo(arena: Arena) -> None:
    """Take back what `prepare` did."""
    for process in arena.beats:
        process.kill()
        process.wait()
    arena.beats = []
    for worker in arena.workers:
        if worker.clock:
            worker.clock = {}
            worker.end()
            arena.tend()


def _clock_ahead(stage: Stage, one: Strike) -> str | None:
    """See whether the worker with another clock took a shard."""
    worker = stage.arena.workers[one.pick % len(stage.arena.workers)]
    of_worker = select(attempts.c.id).where(
        attempts.c.worker.startswith(f"{worker.name}@"), attempts.c.worker.contains(f"/{worker.process.pid}/")
    )

    def took() -> bool:
        with suppress(HanmillError), reading(stage.arena.deployment.parts.engine) as connection:
            return connection.scalar(of_worker.limit(1)) is not None
        return False

    return (
        f"pid {worker.process.pid} is 10 minutes ahead and took shards" if worker.clock and stage.wait(took) else None
    )


# --- points


def _at_point(stage: Stage, one: Strike, number: int) -> Struck | None:
    assert one.fault is not None
    path = stage.arena.fired_path(number)
    if not stage.wait(path.exists, 2 * PATIENCE_S):
        return None
    # Written and filled by another process, which may just be about to.
    if not stage.wait(lambda: path.stat().st_size > 0, 1.0) and not path.stat().st_size:
        return None
    found = stage.arena.fired(number)
    pid = int(found["pid"])
    if one.fault.action == "stop":
        stage.hold(one.length_s)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    name = one.kind if one.kind == "kill_producer" else f"point_{one.fault.action}"
    return Struck(name, float(found["fired_at"]), f"pid {pid} at {found['point']}")


#: What strikes from outside.
STRIKES: dict[str, Callable[[Stage, Strike], str | None]] = {
    "kill_child": _kill_child,
    "kill_worker": _kill_worker,
    "stop_child": _stop_child,
    "stop_worker": _stop_worker,
    "terminate": _terminate,
    "terminate_twice": _terminate_twice,
    "redis_kill": _redis_kill,
    "redis_flush": _redis_flush,
    "redis_pause": _redis_pause,
    "redis_full": _redis_full,
    "doubled_messages": _doubled_messages,
    "two_reconcilers": _two_reconcilers,
    "two_beats": _two_beats,
    "clock_ahead": _clock_ahead,
    **DATABASE_STRIKES,
}
