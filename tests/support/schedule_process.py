"""Beats in processes of their own that race for the same due times, for tests and the benchmark."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from multiprocessing import get_context
from typing import Any

from sqlalchemy import func, select, update

from storage import schedules
from storage.engine import Engine, open_engine, reading, transact
from storage.schedules import NewSchedule
from storage.schema import schedule_runs
from storage.schema import schedules as schedule_table
from workers.schedule_fire import fire_due

#: Seconds that a beat is held up at most before it looks; in most rounds two look at the same moment.
HELD_UP_S = 0.004


def beat(database_url: str, delays_s: Sequence[float], barrier: Any, fired: Any) -> None:
    """Fire in every round what is due, after a delay; tell how many runs were this beat's."""
    engine = open_engine(database_url)
    for delay_s in delays_s:
        barrier.wait()
        time.sleep(delay_s)
        fired.put(len(fire_due(engine)))
        # Nobody makes the next time due before everybody has looked.
        barrier.wait()
    engine.dispose()


def race(database_url: str, rounds: int, beats: int, seed: int) -> list[int]:
    """Let beats race for one due time after the other; return how many runs each round came to.

    Each beat says how many it fired; the rows must agree with that.
    """
    engine = open_engine(database_url)
    new = NewSchedule(name=f"race-{seed}", corpus="c", operations=["count"], cron="* * * * *", timezone="UTC")
    schedule_id = transact(engine, lambda connection: schedules.add(connection, new))
    context = get_context("spawn")
    chance = random.Random(seed)
    barrier, fired = context.Barrier(beats + 1), context.Queue()
    processes = [
        context.Process(
            target=beat,
            args=(
                database_url,
                [chance.choice((0.0, chance.uniform(0.0, HELD_UP_S))) for _ in range(rounds)],
                barrier,
                fired,
            ),
            daemon=True,
        )
        for _ in range(beats)
    ]
    for process in processes:
        process.start()
    found = []
    for number in range(rounds):
        before = _prepare(engine, schedule_id, number)
        barrier.wait(timeout=180)
        barrier.wait(timeout=180)
        told = sum(fired.get(timeout=180) for _ in range(beats))
        written = _count(engine, schedule_id) - before
        assert told == written, f"round {number}: {told} beats believe they fired, {written} runs are there"
        found.append(written)
    for process in processes:
        process.join(timeout=180)
    engine.dispose()
    return found


def _prepare(engine: Engine, schedule_id: int, number: int) -> int:
    """End what runs, move it out of the way and make one time due; return how many runs there are."""

    def work(connection: Any) -> None:
        moved = {"state": "DONE", "fire_time": -float(number)}
        connection.execute(
            update(schedule_runs)
            .where(schedule_runs.c.schedule_id == schedule_id, schedule_runs.c.fire_time > 0)
            .values(**moved)
        )
        moment = time.time() // 60 * 60
        connection.execute(update(schedule_table).where(schedule_table.c.id == schedule_id).values(next_at=moment))

    # A minute that begins between the two would make two times due.
    while time.time() % 60 > 58:
        time.sleep(0.1)
    transact(engine, work)
    return _count(engine, schedule_id)


def _count(engine: Engine, schedule_id: int) -> int:
    counted = select(func.count()).select_from(schedule_runs).where(schedule_runs.c.schedule_id == schedule_id)
    with reading(engine) as connection:
        return connection.scalar(counted) or 0
