"""Plays seeded schedules of faults and compares what is left with the serial result.

    python -m tests.faults.chaos [--schedules 200] [--first-seed N] [--minutes 40] [--write]
    python -m tests.faults.chaos --seed N

Prints a line a schedule, then the sums; ends with 1 when anything was different.
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from tests.faults.chaos.arena import Arena, ArenaMissingError, has_wrong_clocks, open_arena
from tests.faults.chaos.checks import state_of
from tests.faults.chaos.figures import Totals, write_results
from tests.faults.chaos.play import Played, play
from tests.faults.chaos.schedule import Schedule
from tests.faults.chaos.sweep import schedule_of, sweep_seeds

#: Schedules of which those are played together that need the same workers.
TOGETHER = 50
#: Times that a schedule is played at most, until a fault of its strikes.
TRIES = 3
#: A campaign takes long: each line is seen at once, also in a file.
say = partial(print, flush=True)


def main() -> int:
    """Play what the arguments ask for."""
    options = _options()
    # A setting of the user's must not reach what is played.
    for name in [name for name in os.environ if name.startswith("HANMILL_")]:
        del os.environ[name]
    # Whoever ends a campaign ends its servers and workers too, and sees what there is by then.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    drawn = range(options.first_seed, options.first_seed + options.schedules)
    # The named points first: those are always all visited.
    seeds = options.seed or [*sweep_seeds(), *drawn]
    if not has_wrong_clocks():
        say("libfaketime is not installed: no worker's clock is put ahead")
    totals = Totals()
    with ExitStack() as stack:
        campaign = Campaign(stack, totals, times=options.times)
        try:
            campaign.play(seeds, until=time.monotonic() + options.minutes * 60)
        except KeyboardInterrupt:
            say("ended before its time")
        campaign.look_again()
    for line in (*totals.sentences(), "", totals.table()):
        say(line)
    if options.write:
        write_results(totals, options.first_seed)
    return 1 if totals.differences else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.chaos", description=__doc__)
    parser.add_argument("--schedules", type=int, default=200, help="how many are drawn")
    parser.add_argument("--first-seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seed", type=int, nargs="+", help="play these alone")
    parser.add_argument("--times", type=int, default=1, help="play each so often")
    parser.add_argument("--minutes", type=float, default=40.0, help="begin none after so many minutes")
    parser.add_argument("--write", action="store_true", help="write the table into tests/faults/RESULTS.md")
    return parser.parse_args()


class Campaign:
    """Schedules one after the other, on one arena for each kind of database."""

    def __init__(self, stack: ExitStack, totals: Totals, times: int = 1) -> None:
        self._stack = stack
        self._totals = totals
        self._times = times
        self._arenas: dict[str, Arena] = {}
        self._played: list[Played] = []

    def play(self, seeds: Sequence[int], until: float) -> None:
        """Play the schedules of some seeds, as long as there is time."""
        for start in range(0, len(seeds), TOGETHER):
            schedules = [schedule_of(seed) for seed in seeds[start : start + TOGETHER]]
            # Those for the same workers one after the other: starting one takes longer than most schedules.
            for schedule in sorted(schedules, key=lambda one: (one.database, one.needs_models, one.workers)):
                for number in range(self._times):
                    if time.monotonic() > until:
                        return
                    self._play(schedule, number)

    def _play(self, schedule: Schedule, number: int) -> None:
        """Play one; once more, with other texts, when it was over before a fault of its could strike."""
        say(schedule)
        for again in range(TRIES):
            try:
                played = self._played_once(schedule, number * TRIES + again)
            except ArenaMissingError as error:
                say(f"  not played: {error}")
                return
            if played.struck or played.differences:
                break
            self._totals.again += again + 1 < TRIES
        self._totals.add(played)
        for difference in played.differences:
            say(f"  ! {difference}")

    def _played_once(self, schedule: Schedule, number: int) -> Played:
        # What is known from an earlier time would not be computed.
        other = (
            replace(schedule, texts=tuple(f"第{number}次，{text}" for text in schedule.texts)) if number else schedule
        )
        arena = self._arena(schedule.database)
        try:
            played = play(arena, other, f"corpus-{schedule.seed}-{number}")
        except Exception as error:  # noqa: BLE001 - the other schedules are played all the same
            played = Played(schedule, differences=[f"{type(error).__name__}: {error}"])
            traceback.print_exc()
        self._played.append(played)
        recovered = "".join(f", recovered in {seconds:.1f} s" for seconds in played.recovery_s.values())
        struck = "; ".join(f"{one.kind} ({one.proof})" for one in played.struck) or "nothing struck"
        verdict = "DIFFERENT" if played.differences else "same"
        say(f"  {verdict} in {played.elapsed_s:.1f} s: {struck}{recovered}")
        return played

    def _arena(self, database: str) -> Arena:
        if database not in self._arenas:
            self._arenas[database] = self._stack.enter_context(open_arena(database))
        return self._arenas[database]

    def look_again(self) -> None:
        """Compare what readers see with what they saw: whatever came late must have changed nothing."""
        for played in self._played:
            arena = self._arenas.get(played.schedule.database)
            if played.state and arena is not None:
                engine = arena.deployment.parts.engine
                if state_of(engine, played.corpus, played.schedule.operations) != played.state:
                    found = "what readers see has changed since its end"
                    self._totals.differences.setdefault(played.schedule.seed, []).append(found)
                    say(f"  ! seed {played.schedule.seed}: {found}")


if __name__ == "__main__":
    sys.exit(main())
