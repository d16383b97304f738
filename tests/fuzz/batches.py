"""Judges numbered inputs, a batch after another, in a process of its own, and tells what it found. Gives nothing up.

A batch is judged file by file, and then run as one corpus. What breaks a promise is told by its number.
"""

from __future__ import annotations

import shutil
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from storage.sources import BadRecord, Record
from tests.fuzz.checks import Judged
from tests.fuzz.mill import check_batch, fuzzed_mill
from tests.fuzz.seeded import SeededChoices, judge_number
from tests.support.inline_mill import InlineMill

#: Inputs that are run as one corpus.
BATCH_INPUTS = 200
#: Batches that share one database.
BATCHES_OF_A_MILL = 25
#: Every so many batches are tokenized too.
TOKENIZED_EVERY = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """A promise that was broken: by one input, or by a whole batch (its first input's number and how many)."""

    number: int
    inputs: int
    report: str


@dataclass(slots=True)
class Told:
    """What a batch came to. `figures` are (format, what) → how many, and what the mill made of all of them."""

    batch: int
    figures: Counter[tuple[str, str]] = field(default_factory=Counter)
    failures: list[Failure] = field(default_factory=list)


def judge_batch(mill: InlineMill, seed: int, batch: int, folder: Path, begun: Callable[[int], None]) -> Told:
    """Judge a batch and return what it came to; `begun` is called with the number of each input before it."""
    told = Told(batch)
    judged: list[Judged] = []
    first = batch * BATCH_INPUTS
    for number in range(first, first + BATCH_INPUTS):
        begun(number)
        try:
            given, one = judge_number(seed, number, folder)
        except Exception:  # noqa: BLE001 - whatever it is, it is what we are looking for
            told.failures.append(Failure(number, 1, traceback.format_exc()))
            continue
        judged.append(one)
        told.figures.update(_figures(given.format, one))
    begun(first)
    try:
        tokenizes = batch % TOKENIZED_EVERY == 0
        sums = check_batch(mill, SeededChoices.of(seed, -1 - batch), f"c{batch}", judged, tokenizes=tokenizes)
        told.figures.update({("mill", name): number for name, number in sums.items()})
    except Exception:  # noqa: BLE001 - as above
        told.failures.append(Failure(first, BATCH_INPUTS, traceback.format_exc()))
    shutil.rmtree(folder, ignore_errors=True)
    return told


def _figures(format_: str, judged: Judged) -> dict[tuple[str, str], int]:
    return {
        (format_, "inputs"): 1,
        (format_, "documents"): sum(isinstance(item, Record) for item in judged.found),
        (format_, "dead"): sum(isinstance(item, BadRecord) for item in judged.found),
        (format_, "refused"): bool(judged.refusal),
        (format_, "confirmed"): judged.is_confirmed,
    }


def judge_batches(seed: int, batches: Iterable[int], folder: Path, current: Any, pipe: Connection) -> None:
    """Judge some batches and send what each came to; `current` always holds the number of the input in hand."""

    def begin(number: int) -> None:
        current.value = number

    waiting = list(batches)
    for start in range(0, len(waiting), BATCHES_OF_A_MILL):
        home = folder / "home"
        with fuzzed_mill(home, "") as mill:
            for batch in waiting[start : start + BATCHES_OF_A_MILL]:
                pipe.send(judge_batch(mill, seed, batch, folder / f"batch{batch}", begin))
        shutil.rmtree(home, ignore_errors=True)
    pipe.close()
