"""An export holds a batch of rows at a time, however many there are. Ten million: `tests.bench.export_memory`."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage import word_counts
from storage.engine import reading
from storage.exports import count_rows_of, write_export
from tests.support.builders import FINGERPRINT, call, make_corpus, make_job

if TYPE_CHECKING:
    from sqlalchemy import Engine

ROWS = 60_000
#: Of Python's own objects. All rows at once are 20 MB and more.
LIMIT_BYTES = {".csv": 4_000_000, ".parquet": 10_000_000}


@pytest.fixture
def generation_id(engine: Engine) -> int:
    """Return a generation with many words."""
    corpus_id, job_id = make_corpus(engine), make_job(engine)
    made = call(engine, word_counts.make_generation, corpus_id, FINGERPRINT, job_id, bytes(32))
    call(engine, word_counts.replace_partition, made, 0, list(words()))
    return made


def words() -> Iterator[tuple[str, int, int]]:
    for number in range(ROWS):
        yield f"词语{number:07}", 1 + number % 997, 1


@pytest.mark.parametrize("suffix", LIMIT_BYTES)
def test_an_export_takes_no_more_memory_for_more_rows(
    engine: Engine, generation_id: int, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"counts{suffix}"
    # What is imported at the first use is not of the rows.
    write_export(path, "counts", [{"word": "词", "count": 1, "documents": 1}])
    with reading(engine) as connection:
        tracemalloc.start()
        try:
            assert write_export(path, "counts", count_rows_of(connection, generation_id)) == ROWS
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < LIMIT_BYTES[suffix]
