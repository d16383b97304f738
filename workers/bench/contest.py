"""Measures the contenders on one text, each in a process of its own, watched from outside. Judges nothing.

The whole job is `hanmill run` in a fresh home, from the file to rows in SQL, as a user starts it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from storage.errors import HanmillError
from workers.bench.contenders import digest_of

#: Seconds between two looks at the memory of the processes.
SAMPLE_S = 0.1
#: Contenders that take a number of processes.
PARALLEL = ("pool", "jieba-parallel")
#: Last lines of what a contender said that an error shows.
SHOWN_LINES = 5


class ContenderFailedError(HanmillError):
    """A contender ended by an error: its last words are in the message."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One contender on its way: what is run, in how many processes."""

    name: str
    processes: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one contender came to."""

    name: str
    processes: int
    seconds: float
    #: Resident memory of all its processes together, at its highest, in bytes.
    peak_bytes: int
    words: int
    tokens: int
    digest: str


def entries(processes: Sequence[int], names: Sequence[str] | None = None) -> list[Entry]:
    """Return what is to be run: each in every number of processes that makes sense for it."""
    most = max(processes)
    chosen = names or ("loop", "small-dicts", "rjieba", "engine", "jieba-parallel", "pool", "hanmill")
    found: list[Entry] = []
    for name in chosen:
        if name == "hanmill":
            found += [Entry(name, number) for number in processes]
        else:
            found.append(Entry(name, most if name in PARALLEL else 1))
    return found


def run(entry: Entry, texts: Path, folder: Path, environment: Mapping[str, str]) -> Measured:
    """Run one contender on the texts; raises `ContenderFailedError`."""
    if entry.name == "hanmill":
        return _run_mill(entry, texts, folder, environment)
    command = [sys.executable, "-P", "-m", "workers.bench.contenders", entry.name, str(texts), str(entry.processes)]
    output, peak_bytes = _watched(entry, command, folder, environment)
    return Measured(entry.name, entry.processes, peak_bytes=peak_bytes, **json.loads(output))


def _run_mill(entry: Entry, texts: Path, folder: Path, environment: Mapping[str, str]) -> Measured:
    home = folder / f"home-{entry.processes}"
    own = {**environment, "HANMILL_HOME": str(home)}
    mill = [sys.executable, "-P", "-m", "workers.cli.main"]
    corpus = folder / "corpus.jsonl"
    if not corpus.exists():
        _write_corpus(texts, corpus)
    arguments = ["run", str(corpus), "--corpus", "bench", "--workers", str(entry.processes), "--format", "json"]
    output, peak_bytes = _watched(entry, [*mill, *arguments], folder, own)
    (job,) = json.loads(output)["jobs"]
    exported = folder / f"counts-{entry.processes}.jsonl"
    _watched(entry, [*mill, "export", "bench", "--what", "counts", "--to", str(exported)], folder, own)
    counts = dict(_counts_of(exported))
    return Measured(
        entry.name,
        entry.processes,
        seconds=job["elapsed_s"],
        peak_bytes=peak_bytes,
        words=len(counts),
        tokens=sum(counts.values()),
        digest=digest_of(counts),
    )


def _write_corpus(texts: Path, corpus: Path) -> None:
    with texts.open(encoding="utf-8") as lines, corpus.open("w", encoding="utf-8") as file:
        file.writelines(f'{{"text": {line.rstrip()}}}\n' for line in lines)


def _counts_of(path: Path) -> Iterator[tuple[str, int]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["word"], row["count"]


def _watched(entry: Entry, command: list[str], folder: Path, environment: Mapping[str, str]) -> tuple[str, int]:
    """Run a command to its end and return what it printed, and the peak of its family's memory in bytes."""
    out, err = folder / "stdout", folder / "stderr"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=dict(environment))  # noqa: S603 - our own
        try:
            peak_bytes = _watch(process)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        last = err.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-SHOWN_LINES:]
        message = f"{entry.name} ended with {process.returncode}: {' / '.join(last)}"
        raise ContenderFailedError(message)
    return out.read_text(encoding="utf-8"), peak_bytes


def _watch(process: subprocess.Popen[bytes]) -> int:
    parent = psutil.Process(process.pid)
    peak_bytes = 0
    while process.poll() is None:
        peak_bytes = max(peak_bytes, sum(map(_memory_of, _family(parent))))
        time.sleep(SAMPLE_S)
    return peak_bytes


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _memory_of(member: psutil.Process) -> int:
    """Return what a process keeps in memory; pages that it shares with others count by its share of them."""
    try:
        full: Any = member.memory_full_info()
        return int(getattr(full, "pss", full.rss))
    except psutil.Error:
        return 0
