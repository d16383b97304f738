"""What an export takes: peak memory and seconds of `hanmill export` by number of rows, on both databases.

    python -m tests.bench.export_memory [--rows 100000 1000000 10000000] [--formats csv parquet] [--database sqlite]

Fills word counts with made-up words, starts the command as a user does, and asks the kernel for its peak. Prints a line
of JSON for each export.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

from storage import word_counts
from storage.engine import Engine, open_engine, transact
from storage.migrate import upgrade
from tests.bench.whole_job import describe_run
from tests.support.builders import FINGERPRINT, call, change_job, make_corpus, make_job
from tests.support.postgres import fresh_database, running_postgres

#: Rows that one transaction writes.
PARTITION_ROWS = 500_000
#: Seconds that one export may take.
LIMIT_S = 1800
FIRST_IDEOGRAPH = 0x4E00
IDEOGRAPHS = 20_000
KIB = 1024


def main() -> None:
    """Fill, export and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "parquet"])
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="hm-export-"))
    try:
        with ExitStack() as stack:
            url = f"sqlite:///{home / 'rows.db'}"
            if options.database == "postgresql":
                url = stack.enter_context(fresh_database(stack.enter_context(running_postgres())))
            _say({**describe_run(), "database": options.database})
            for rows in options.rows:
                _fill(url, rows)
            for rows, form in product(options.rows, options.formats):
                _say({"rows": rows, "format": form, **_export(home, url, rows, form)})
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _say(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)  # noqa: T201 - the result of a benchmark


def _fill(url: str, rows: int) -> None:
    engine = open_engine(url)
    upgrade(engine)
    corpus = _corpus(rows)
    job_id = make_job(engine, corpus=corpus)
    change_job(engine, job_id, state="DONE", finished_at=1.0)
    corpus_id = make_corpus(engine, corpus)
    generation = call(engine, word_counts.make_generation, corpus_id, FINGERPRINT, job_id, bytes(32))
    for partition, first in enumerate(range(0, rows, PARTITION_ROWS)):
        _fill_partition(engine, generation, partition, first, min(rows, first + PARTITION_ROWS))
    call(engine, word_counts.publish, generation, job_id)
    engine.dispose()


def _fill_partition(engine: Engine, generation: int, partition: int, first: int, end: int) -> None:
    transact(
        engine,
        lambda connection: word_counts.replace_partition(connection, generation, partition, _rows(first, end)),
    )


def _corpus(rows: int) -> str:
    return f"rows-{rows}"


def _rows(first: int, end: int) -> Iterator[tuple[str, int, int]]:
    """Yield words of two to four characters, their counts as rare words have them: most of them small."""
    for number in range(first, end):
        high, low = divmod(number, IDEOGRAPHS)
        word = chr(FIRST_IDEOGRAPH + low) + chr(FIRST_IDEOGRAPH + high) + "字词"[: number % 3]
        count = 1 + 1_000_000 // (1 + (number * 7919) % 1_000_003)
        yield word, count, 1 + count // 2


def _export(home: Path, url: str, rows: int, form: str) -> dict[str, Any]:
    target = home / f"counts.{form}"
    began = time.monotonic()
    process = subprocess.Popen(
        [
            *("timeout", str(LIMIT_S), sys.executable, "-m", "workers.cli.main"),
            *("export", _corpus(rows), "--what", "counts", "--to", str(target)),
        ],
        env={**os.environ, "HANMILL_HOME": str(home), "HANMILL_DATABASE_URL": url},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as stream:
        said = stream.read()
    # By the kernel's account of the process and of what it has waited for.
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0 or f"{rows:,} rows" not in said:
        message = f"the export of {rows} rows ended with status {status}: {said}"
        raise RuntimeError(message)
    found = {"elapsed_s": round(time.monotonic() - began, 1), "file_mb": round(target.stat().st_size / 1e6, 1)}
    target.unlink()
    return {**found, "peak_mb": round(usage.ru_maxrss / KIB, 1)}


if __name__ == "__main__":
    main()
