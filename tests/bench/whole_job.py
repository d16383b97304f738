"""The whole job, from files to rows in SQL, beside the serial loop over the same text in the same run.

    python -m tests.bench.whole_job --workers 2 [--limit-mb 20] [--repeat 1] [--postgres] [--skip-serial]

Prints what `RESULTS.md` states: seconds, MB of text a second, peak memory of each kind of process, and whether the
counts and document frequencies are the same. Asserts nothing about time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.availability import REPOSITORY, find_test_data
from tests.support.postgres import make_tables, running_postgres
from tests.support.reference import Counts, serial_counts, texts_of

SETS = ("news_xwlb", "tech_lctt", "laws", "novels")
#: Seconds between two looks at the memory of the processes.
SAMPLE_S = 0.2


def main() -> None:
    """Run the comparison and print it as JSON."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="hanmill-bench-"))
    try:
        corpus = folder / "corpus.jsonl"
        size_bytes = _write_corpus(corpus, options.limit_mb * 1_000_000, options.repeat)
        result: dict[str, Any] = {
            **describe_run(),
            "text_mb": round(size_bytes / 1e6, 1),
            "workers": options.workers,
            "database": "PostgreSQL" if options.postgres else "SQLite",
        }
        with _database(postgres=options.postgres) as database_url:
            mill = _run_mill(folder, corpus, options.workers, database_url)
        counts = mill.pop("counts")
        result["hanmill"] = {**mill, "mb_per_s": round(size_bytes / 1e6 / mill["job_s"], 2)}
        if not options.skip_serial:
            serial, serial_s = _run_serial(corpus)
            result["serial"] = {"s": round(serial_s, 1), "mb_per_s": round(size_bytes / 1e6 / serial_s, 2)}
            result["speed_up"] = round(serial_s / mill["job_s"], 2)
            result["identical"] = counts == serial
        print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--limit-mb", type=float, default=1e6, help="no more than so many MB of text")
    parser.add_argument("--repeat", type=int, default=1, help="the same text so many times")
    parser.add_argument("--postgres", action="store_true", help="a server that waits for its disk, instead of SQLite")
    parser.add_argument("--skip-serial", action="store_true")
    return parser.parse_args()


def describe_run() -> dict[str, str]:
    """Return the commit and the machine of this run."""
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    commit = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return {"commit": commit, "machine": machine}


def corpus_texts() -> Iterator[str]:
    """Yield the texts that the figures are measured on, or what the repository carries."""
    data = find_test_data()
    if data is None:
        yield from texts_of(REPOSITORY / "tests" / "samples" / "corpus" / "chapters.jsonl")
        return
    for name in SETS:
        for part in ("train", "dev"):
            path = data / name / f"{part}.jsonl.gz"
            if path.exists():
                yield from texts_of(path)


def _write_corpus(path: Path, limit_bytes: float, repeat: int) -> int:
    """Write the texts as JSON Lines and return their size in bytes of UTF-8."""
    size_bytes = 0
    with path.open("w", encoding="utf-8") as file:
        for _ in range(repeat):
            for text in corpus_texts():
                size_bytes += len(text.encode())
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                if size_bytes >= limit_bytes:
                    return size_bytes
    return size_bytes


def _run_serial(corpus: Path) -> tuple[Counts, float]:
    started = time.perf_counter()
    counts = serial_counts(texts_of(corpus))
    return counts, time.perf_counter() - started


@contextmanager
def _database(*, postgres: bool) -> Iterator[str]:
    """Yield the address of a new database; "" for the one in the home."""
    if not postgres:
        yield ""
        return
    with running_postgres(()) as server_url:
        yield make_tables(server_url)


def _run_mill(folder: Path, corpus: Path, workers: int, database_url: str) -> dict[str, Any]:
    """Run `hanmill run` in a fresh home; return its counts, its times, and the memory that it took."""
    environment = {**os.environ, "HANMILL_HOME": str(folder / "home"), "HANMILL_DATABASE_URL": database_url}
    mill = str(Path(sys.executable).with_name("hanmill"))
    command = [mill, "run", str(corpus), "--corpus", "bench", "--workers", str(workers), "--format", "json"]
    started = time.perf_counter()
    output = folder / "run.json"
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, env=environment)
        peaks = _watch_memory(process)
    wall_s = time.perf_counter() - started
    if process.returncode != 0:
        message = f"hanmill run ended with {process.returncode}"
        raise RuntimeError(message)
    (job,) = json.loads(output.read_text())["jobs"]
    exported = folder / "counts.jsonl"
    subprocess.run([mill, "export", "bench", "--what", "counts", "--to", str(exported)], env=environment, check=True)
    rows = (json.loads(line) for line in exported.open(encoding="utf-8"))
    counts = {row["word"]: (row["count"], row["documents"]) for row in rows}
    return {"counts": counts, "wall_s": round(wall_s, 1), "job_s": job["elapsed_s"], "peak_rss_mb": peaks}


def _watch_memory(process: subprocess.Popen[bytes]) -> dict[str, float]:
    """Wait for a process and return the highest resident memory, in MB, of each kind of process of its family."""
    peaks: dict[str, float] = {}
    parent = psutil.Process(process.pid)
    while process.poll() is None:
        for member in _family(parent):
            try:
                kind = "parent" if member.pid == process.pid else _kind(member)
                peaks[kind] = max(peaks.get(kind, 0.0), round(member.memory_info().rss / 1e6, 1))
            except psutil.Error:
                continue
        time.sleep(SAMPLE_S)
    return peaks


def _family(parent: psutil.Process) -> list[psutil.Process]:
    try:
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _kind(member: psutil.Process) -> str:
    if "redis" in member.name() or "valkey" in member.name():
        return "redis"
    above = member.parent()
    # A pool process is the child of the worker's main process, which looks the same.
    return "worker process" if above is not None and above.cmdline() == member.cmdline() else "worker main"


if __name__ == "__main__":
    main()
