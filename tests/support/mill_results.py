"""Writes inputs for a mill without servers, and reads back what it made of them as its users would."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
