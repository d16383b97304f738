"""What the measured figures say: rates, speed-up, efficiency, and two old questions answered for this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workers.bench.contest import Measured

#: Ratios nearer to one than this are called equal: a shared machine varies by as much.
EQUAL = 0.05


def table(measured: Sequence[Measured], text_bytes: int) -> list[dict[str, Any]]:
    """Return a row for each contender; the first of them that is the reference loop is what all are compared with."""
    reference = _named(measured, "loop")
    return [
        {
            "name": one.name,
            "processes": one.processes,
            "seconds": round(one.seconds, 3),
            "mb_per_s": round(text_bytes / 1e6 / one.seconds, 3),
            "speed_up": round(reference.seconds / one.seconds, 3) if reference else None,
            "efficiency": round(reference.seconds / one.seconds / one.processes, 3) if reference else None,
            "peak_bytes": one.peak_bytes,
            "words": one.words,
            "tokens": one.tokens,
            "identical": one.digest == reference.digest if reference else None,
        }
        for one in measured
    ]


def sentences(measured: Sequence[Measured]) -> list[str]:
    """Return the two answers in words, as far as their contenders ran."""
    loop, small, pool = (_named(measured, name) for name in ("loop", "small-dicts", "pool"))
    answers = []
    if loop and small:
        ratio = loop.seconds / small.seconds
        answers.append(f"Small dictionaries are {_compared(ratio)} on this machine: {ratio:.2f} times the plain loop.")
    if loop and pool:
        each = loop.seconds / pool.seconds / pool.processes
        holds = "does" if each > 1 + EQUAL else "does not"
        answers.append(
            f'"More than one per process" {holds} hold on this machine: {pool.processes} processes of a pool gain '
            f"{each:.2f} of the plain loop each."
        )
    mills = [one for one in measured if one.name == "hanmill"]
    if len(mills) > 1:
        few, many = min(mills, key=lambda one: one.processes), max(mills, key=lambda one: one.processes)
        gain = few.seconds / many.seconds
        answers.append(f"hanmill with {many.processes} workers is {gain:.2f} times as fast as with {few.processes}.")
    return answers


def _compared(ratio: float) -> str:
    if abs(ratio - 1) <= EQUAL:
        return "neither faster nor slower"
    return "faster" if ratio > 1 else "slower"


def _named(measured: Sequence[Measured], name: str) -> Measured | None:
    return next((one for one in measured if one.name == name), None)
