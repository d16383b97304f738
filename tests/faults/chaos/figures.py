"""Adds schedules up, and writes what came of them: to the screen, and into tests/faults/RESULTS.md."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import psutil

from storage.fault_points import POINTS
from tests.faults.chaos.play import Played
from tests.support.availability import REPOSITORY

RESULTS = REPOSITORY / "tests" / "faults" / "RESULTS.md"
#: The table is written between these lines; everything else of the file stays.
BEGIN, END = "<!-- chaos -->", "<!-- /chaos -->"
#: Kinds that take nothing away which could come back.
HARMLESS = {"doubled_messages", "late_messages", "two_reconcilers", "two_beats", "two_producers", "clock_ahead"}
#: Named points that a line lists at most.
MISSED_SHOWN = 8
#: What each kind is.
MEANINGS = {
    "clock_ahead": "a worker whose clock is 10 minutes ahead",
    "connections_cut": "PostgreSQL: every connection cut, in the middle of transactions too",
    "deadlock": "PostgreSQL: transactions of workers refused because they waited in a circle",
    "disk_full": "SQLite: the disk full for up to 2 s",
    "doubled_messages": "every message delivered twice",
    "kill_child": "SIGKILL of a pool process",
    "kill_producer": "SIGKILL of `hanmill submit` at a named point, then submitted again",
    "kill_run": "SIGKILL of `hanmill run`, then run again",
    "kill_worker": "SIGKILL of a worker's main process, every second time with its children",
    "late_messages": "every message delivered again after the end",
    "point_kill": "SIGKILL at a named point",
    "point_raise": "an error at a named point",
    "point_stop": "SIGSTOP at a named point for longer than the lease, then SIGCONT",
    "postgres_crash": "PostgreSQL: SIGKILL of the server, started again after up to 2 s",
    "redis_flush": "`FLUSHALL`",
    "redis_full": "Redis out of memory (`noeviction`) for up to 2 s",
    "redis_kill": "Redis killed, and started again empty after up to 2 s",
    "redis_pause": "Redis standing still for longer than the visibility timeout",
    "stop_child": "SIGSTOP of a pool process for longer than the lease, then SIGCONT",
    "stop_worker": "SIGSTOP of a whole worker for longer than the lease, then SIGCONT",
    "terminate": "SIGTERM of a worker",
    "terminate_twice": "SIGTERM of a worker, twice",
    "two_beats": "two beats, one of them killed",
    "two_producers": "two `hanmill submit` of the same corpus at once",
    "two_reconcilers": "two reconcilers at once",
}


@dataclass(slots=True)
class Totals:
    """What came of some schedules."""

    schedules: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    recovery_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    compared: int = 0
    #: Seeds with what was different.
    differences: dict[int, list[str]] = field(default_factory=dict)
    without_fault: int = 0
    restarts: int = 0
    #: Tries that ended before a fault could strike, and after which the schedule was played once more.
    again: int = 0
    elapsed_s: list[float] = field(default_factory=list)
    points: Counter[str] = field(default_factory=Counter)

    def add(self, played: Played) -> None:
        """Add one schedule."""
        self.schedules[played.schedule.database] += 1
        self.operations.update(played.schedule.operations)
        self.faults.update(struck.kind for struck in played.struck)
        at_points = [struck for struck in played.struck if struck.kind.startswith(("point_", "kill_producer"))]
        self.points.update(struck.proof.split(" at ")[1] for struck in at_points)
        self.without_fault += not played.struck
        self.compared += played.compared
        self.restarts += played.restarts
        self.elapsed_s.append(played.elapsed_s)
        if played.differences:
            self.differences.setdefault(played.schedule.seed, []).extend(played.differences)
        for place, seconds in played.recovery_s.items():
            if played.struck[place].kind not in HARMLESS:
                self.recovery_s[played.struck[place].kind].append(seconds)

    def table(self) -> str:
        """Return a row for every kind of fault."""
        rows = ["| fault | struck | recovery told | median s | worst s |", "|---|--:|--:|--:|--:|"]
        for kind in sorted(self.faults):
            seconds = self.recovery_s.get(kind, [])
            figures = f"{statistics.median(seconds):.1f} | {max(seconds):.1f}" if seconds else "|"
            rows.append(f"| {MEANINGS[kind]} (`{kind}`) | {self.faults[kind]} | {len(seconds) or ''} | {figures} |")
        return "\n".join(rows)

    def sentences(self) -> list[str]:
        """Return the sums, a line each."""
        databases = ", ".join(f"{number} on {name}" for name, number in sorted(self.schedules.items()))
        operations = ", ".join(f"{name} {number}" for name, number in self.operations.most_common())
        total, struck = sum(self.schedules.values()), sum(self.faults.values())
        seconds = self.elapsed_s or [0.0]
        missed = sorted({*POINTS} - {*self.points})
        points = f"at {len(self.points)} of {len(POINTS)} named points"
        points += f" (not at {', '.join(missed)})" if len(missed) <= MISSED_SHOWN and missed else ""
        return [
            f"{total} schedules ({databases}); operations: {operations}",
            f"{struck} faults that were seen to strike, of {len(self.faults)} kinds, {points}",
            f"{self.without_fault} schedules ended before a fault could strike, after {self.again} further tries",
            f"{self.compared:,} results compared with the serial ones",
            f"{sum(map(len, self.differences.values()))} differences in {len(self.differences)} schedules",
            f"{self.restarts} workers started again",
            f"{sum(seconds):.0f} s; {statistics.median(seconds):.1f} s a schedule, the longest {max(seconds):.1f} s",
        ]


def write_results(totals: Totals, seed: int, path: Path = RESULTS) -> None:
    """Put the table of a campaign into the file of results."""
    text = path.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    lines = [_machine(), f"First seed {seed}.", "", *(f"- {one}" for one in totals.sentences()), "", totals.table()]
    path.write_text(f"{text[:begin]}\n\n" + "\n".join(lines) + f"\n\n{text[end:]}", encoding="utf-8")


def _machine() -> str:
    git = ["git", "rev-parse", "--short=10", "HEAD"]
    commit = subprocess.run(git, cwd=REPOSITORY, capture_output=True, text=True, check=False).stdout.strip()
    dirty = subprocess.run(
        ["git", "diff", "--quiet", "HEAD"], cwd=REPOSITORY, capture_output=True, check=False
    ).returncode
    names = ("celery", "kombu", "redis", "SQLAlchemy", "psycopg")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    cores, gigabytes = len(os.sched_getaffinity(0)), psutil.virtual_memory().total / 1024**3
    state = " and changes on it" if dirty else ""
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}, {versions}"
    return f"Commit {commit or 'unknown'}{state}; {cores} cores, {gigabytes:.0f} GB, {system}."
