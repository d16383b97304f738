"""Spreads batches over processes and watches them: one that dies, or stands still, is a finding like any other.

Ends after a time limit whatever is left, and says so.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from tests.fuzz.batches import BATCH_INPUTS, Failure, Told

#: Seconds in which a process must come to the next input; one may take `checks.LIMIT_S`, a batch in SQL some seconds.
STILL_S = 90
#: Seconds between two lines that say how far it is.
PROGRESS_S = 30.0
#: Deaths after which a process is not started again.
MOST_DEATHS = 20


@dataclass
class Findings:
    """What all batches came to."""

    figures: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)
    batches: int = 0
    elapsed_s: float = 0.0
    shown_s: float = field(default_factory=time.monotonic)

    def show_progress(self) -> None:
        """Say on standard error, now and then, how far it is."""
        if time.monotonic() - self.shown_s > PROGRESS_S:
            self.shown_s = time.monotonic()
            inputs = self.batches * BATCH_INPUTS
            sys.stderr.write(f"{inputs:,} inputs, {len(self.failures)} promises broken\n")

    def add(self, told: Told) -> None:
        """Add what one batch came to."""
        self.batches += 1
        self.figures.update(told.figures)
        self.failures += told.failures


class Member:
    """One process and the batches that are its own."""

    def __init__(self, work: Callable[..., None], seed: int, batches: Sequence[int], folder: Path) -> None:
        self._work, self._seed, self._folder = work, seed, folder
        self._context: Any = multiprocessing.get_context("spawn")
        self._current = self._context.Value("q", -1, lock=False)
        self.waiting = list(batches)
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        self.pipe, theirs = self._context.Pipe(duplex=False)
        folder = self._folder / f"try{self.deaths}"
        arguments = (self._seed, self.waiting, folder, self._current, theirs)
        self._process = self._context.Process(target=self._work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        self._seen = (-1, time.monotonic())

    def stands_still(self) -> bool:
        """Say whether the process has been at one input for too long."""
        number, since_s = self._seen
        if self._current.value != number:
            self._seen = (self._current.value, time.monotonic())
            return False
        return time.monotonic() - since_s > STILL_S

    def receive(self, findings: Findings) -> bool:
        """Take what the process has to tell; false when it has ended and nothing is left to do."""
        try:
            told: Told = self.pipe.recv()
        except (EOFError, OSError):
            return self._ended(findings)
        findings.add(told)
        findings.show_progress()
        self.waiting.remove(told.batch)
        return True

    def _ended(self, findings: Findings) -> bool:
        self._process.join()
        if not self.waiting:
            return False
        self.deaths += 1
        report = f"the process ended with exit code {self._process.exitcode} while it was at this input"
        findings.failures.append(Failure(self._current.value, 1, report))
        self.waiting.pop(0)
        if not self.waiting or self.deaths > MOST_DEATHS:
            return False
        self._start()
        return True

    def kill(self) -> None:
        """End the process; what it has not told is lost."""
        self._process.kill()
        self._process.join()


def judge_all(
    work: Callable[..., None], seed: int, batches: Sequence[int], processes: int, limit_s: float, folder: Path
) -> Findings:
    """Judge batches in some processes at once, for `limit_s` seconds at most."""
    findings = Findings()
    begun_s = time.monotonic()
    shares = [batches[number::processes] for number in range(processes)]
    members = [Member(work, seed, share, folder / f"process{number}") for number, share in enumerate(shares) if share]
    try:
        while members and time.monotonic() - begun_s < limit_s:
            ready: list[Connection] = wait([member.pipe for member in members], timeout=1.0)  # type: ignore[assignment]
            members = [member for member in members if member.pipe not in ready or member.receive(findings)]
            for member in members:
                if member.stands_still():
                    member.kill()
    finally:
        for member in members:
            member.kill()
    findings.elapsed_s = time.monotonic() - begun_s
    return findings


def batches_of(inputs: int) -> range:
    """Return the numbers of the batches that hold so many inputs."""
    return range(-(-inputs // BATCH_INPUTS))
