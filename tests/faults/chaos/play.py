"""Plays one schedule: staffs the arena, gives the documents, lets the faults strike, waits for the end and compares."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from tests.faults.chaos import checks
from tests.faults.chaos.arena import Arena
from tests.faults.chaos.embedded import play_run
from tests.faults.chaos.feeds import NotTakenError, feed
from tests.faults.chaos.recovery import recoveries
from tests.faults.chaos.schedule import Schedule
from tests.faults.chaos.stage import Stage, Struck
from tests.faults.chaos.strikes import prepare, strike, undo
from tests.faults.chaos.watching import LOOK_S, Watch

#: Seconds within which every job of a schedule must have ended by itself; an idle machine takes a tenth of it.
BOUND_S = 240.0
#: Seconds that late messages have to be taken and forgotten.
QUIET_S = 20.0


@dataclass(slots=True)
class Played:
    """What came of a schedule."""

    schedule: Schedule
    struck: list[Struck] = field(default_factory=list)
    compared: int = 0
    differences: list[str] = field(default_factory=list)
    elapsed_s: float = 0.0
    #: Seconds, by the place of the fault in `struck`; where nothing was left to recover there is none.
    recovery_s: dict[int, float] = field(default_factory=dict)
    #: Workers that were started again.
    restarts: int = 0
    #: What readers saw at its end, to be compared once more when everything is over.
    state: str = ""
    corpus: str = ""


def play(arena: Arena, schedule: Schedule, name: str) -> Played:
    """Play a schedule under a name that no other has in this arena."""
    started = time.monotonic()
    played = Played(schedule, corpus=name)
    if schedule.feed == "run":
        play_run(arena, schedule, played)
    else:
        _play(arena, schedule, played)
    played.elapsed_s = time.monotonic() - started
    return played


def _play(arena: Arena, schedule: Schedule, played: Played) -> None:
    arena.staff(schedule.workers, models=schedule.needs_models)
    restarts = sum(worker.restarts for worker in arena.all_workers())
    arena.set_plan(schedule.plan())
    prepare(arena, schedule)
    over = threading.Event()
    watch = Watch(arena, played.corpus, len(schedule.operations))
    stage = Stage(arena, schedule, watch, over)
    numbers = _numbers(schedule)
    with ThreadPoolExecutor(max_workers=1 + len(schedule.strikes)) as threads:
        feeding = threads.submit(feed, stage, played.corpus)
        striking = [
            threads.submit(strike, stage, one, number) for one, number in zip(schedule.strikes, numbers, strict=True)
        ]
        ended = _follow(stage, feeding, striking)
        over.set()
    undo(arena)
    arena.set_plan("[]")
    arena.tend()
    _note_strikes(played, feeding, striking)
    if played.differences:
        return
    if not ended:
        played.differences.append(f"after {BOUND_S:.0f} s it has not ended: {watch.views}")
        return
    if not _is_quiet(arena):
        played.differences.append("messages of ended jobs stay in the queue")
    played.restarts = sum(worker.restarts for worker in arena.all_workers()) - restarts
    engine = arena.deployment.parts.engine
    played.compared, found = checks.differences(engine, played.corpus, schedule.operations, schedule.texts)
    played.differences += found
    if not found:
        played.state = checks.state_of(engine, played.corpus, schedule.operations)
    played.recovery_s = recoveries(engine, played.corpus, played.struck)


def _numbers(schedule: Schedule) -> list[int]:
    """Return the place of every strike's fault in the plan; of those that have none, the next one's."""
    numbers, next_number = [], 0
    for one in schedule.strikes:
        numbers.append(next_number)
        next_number += one.fault is not None
    return numbers


def _follow(stage: Stage, feeding: Future[list[Struck]], striking: Sequence[Future[Struck | None]]) -> bool:
    """Look after the processes until everything has ended; False when it does not."""
    deadline = time.monotonic() + BOUND_S
    while time.monotonic() < deadline:
        stage.watch.is_all_given = feeding.done()
        stage.watch.look()
        with suppress(OSError):
            stage.arena.tend()
        if feeding.done() and feeding.exception() is not None:
            return False
        if stage.watch.is_over:
            waiting = [one for one, future in zip(stage.schedule.strikes, striking, strict=True) if not future.done()]
            if all(one.kind != "late_messages" for one in waiting):
                _let_go(stage, striking)
                return True
        time.sleep(LOOK_S)
    return False


def _let_go(stage: Stage, striking: Sequence[Future[Struck | None]]) -> None:
    """End the waiting for what comes no more; what has begun is let come to its end."""
    stage.over.set()
    for future in striking:
        future.exception(timeout=30.0)


def _note_strikes(played: Played, feeding: Future[list[Struck]], striking: Sequence[Future[Struck | None]]) -> None:
    for future in striking:
        error = future.exception()
        if error is not None:
            played.differences.append(f"a fault could not strike: {type(error).__name__}: {error}")
        elif (struck := future.result()) is not None:
            played.struck.append(struck)
    error = feeding.exception()
    if isinstance(error, NotTakenError):
        played.differences.append(f"the documents were not taken: {error}")
    elif error is not None:
        raise error
    else:
        played.struck += feeding.result()


def _is_quiet(arena: Arena) -> bool:
    """Wait until no message for a shard waits; what comes late must be taken and forgotten."""
    deadline = time.monotonic() + QUIET_S
    while time.monotonic() < deadline:
        arena.tend()
        with arena.redis.client() as client:
            if not client.llen("hanmill.cpu") + client.llen("hanmill.gpu"):
                return True
        time.sleep(LOOK_S)
    return False
