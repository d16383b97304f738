"""Opens a mill without servers, writes inputs for it, and reads back what it made of them as its users would."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from storage import dead_letters, jobs
from storage.corpora import corpus_id_of
from storage.engine import reading
from storage.tokens import export_rows
from storage.word_counts import by_count, current_generation
from tests.support.inline_mill import InlineMill
from tests.support.reference import Counts

#: The corpus that a test has if it has one.
CORPUS = "c"


@contextmanager
def open_mill(home: Path, database_url: str, **settings: Any) -> Iterator[InlineMill]:
    """Have a mill for the time of the context."""
    mill = InlineMill(home, database_url, **settings)
    mill.parts = replace(mill.parts, workplace=replace(mill.parts.workplace, cache_dir=shared_cache_dir()))
    # One connection stays open: without it SQLite would write its log back after every transaction.
    with mill.parts.engine.connect() as keeper:
        keeper.exec_driver_sql("SELECT 1")
        keeper.rollback()
        yield mill
    mill.parts.engine.dispose()


@cache
def shared_cache_dir() -> Path:
    """Return where all mills of this process keep the compiled dictionary, which takes half a second to make."""
    path = Path(tempfile.mkdtemp(prefix="hm-cache-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


def write_texts(path: Path, texts: Sequence[str], **fields: str) -> Path:
    """Write a JSON Lines file of some texts, each with the same further fields, and return its path."""
    lines = (json.dumps({"text": text, **fields}, ensure_ascii=False) + "\n" for text in texts)
    path.write_text("".join(lines), encoding="utf-8")
    return path


def view_of(mill: InlineMill, job_id: int) -> dict[str, Any]:
    """Return a job with its figures."""
    with reading(mill.parts.engine) as connection:
        return jobs.view(connection, job_id)


def counts_of(mill: InlineMill, corpus: str = CORPUS) -> Counts:
    """Return {word: (count, documents)} of a corpus as readers see it."""
    with reading(mill.parts.engine) as connection:
        generation = current_generation(connection, corpus_id_of(connection, corpus))
        assert generation is not None
        return {word: (count, documents) for word, count, documents in by_count(connection, generation)}


def tokens_of(mill: InlineMill, job_id: int) -> list[list[str]]:
    """Return the tokens of every document that an export of a job would write."""
    with reading(mill.parts.engine) as connection:
        row = jobs.get(connection, job_id)
        return [exported["tokens"] for exported in export_rows(connection, row.corpus_id, row.fingerprint)]


def letters_of(mill: InlineMill, job_id: int) -> list[tuple[str, int]]:
    """Return (reason, offset) of every standing dead letter of a job."""
    with reading(mill.parts.engine) as connection:
        return [(letter["reason"], letter["offset"]) for letter in dead_letters.list_letters(connection, job_id)]
