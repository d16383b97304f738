"""Sorts more rows than memory holds: runs of them are sorted and put into files, then read back side by side.

Rows are tuples of strings and numbers. Knows no database.
"""

from __future__ import annotations

import heapq
import marshal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from itertools import islice
from typing import IO, Any

#: Rows of a run, which are held in memory at once; of words with their figures some 30 MB.
RUN_ROWS = 50_000
#: Rows that are written and read back at once.
BLOCK_ROWS = 1000


def sorted_rows(
    rows: Iterable[tuple[Any, ...]], key: Callable[[tuple[Any, ...]], Any], run_rows: int = RUN_ROWS
) -> Iterator[tuple[Any, ...]]:
    """Yield rows in the order of their keys; files that this needs are gone when it ends, however it ends."""
    waiting = iter(rows)
    run = sorted(islice(waiting, run_rows), key=key)
    with ExitStack() as stack:
        files: list[IO[bytes]] = []
        while len(run) == run_rows:
            file = stack.enter_context(tempfile.TemporaryFile(prefix="hanmill-sort-"))
            _write(file, run)
            files.append(file)
            run = sorted(islice(waiting, run_rows), key=key)
        yield from heapq.merge(*map(_read, files), run, key=key)


def _write(file: IO[bytes], rows: list[tuple[Any, ...]]) -> None:
    for start in range(0, len(rows), BLOCK_ROWS):
        marshal.dump(rows[start : start + BLOCK_ROWS], file)


def _read(file: IO[bytes]) -> Iterator[tuple[Any, ...]]:
    end = file.tell()
    file.seek(0)
    while file.tell() < end:
        yield from marshal.load(file)  # noqa: S302 - our own bytes: a file that has no name
