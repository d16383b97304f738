"""Reads one shard's documents again, and compares what every shard has: its figures and its dead letters."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from storage import verification
from storage.dead_letters import DeadLetter
from storage.documents import Document
from storage.engine import AnyRow, reading
from storage.errors import SourceChangedError, SourceUnavailableError
from storage.shard_input import SOURCE_UNAVAILABLE, ShardInput
from storage.verification import Letter
from tasks.nn.backend import MODEL_FAILED, OUT_OF_MEMORY
from workers.bootstrap import Parts
from workers.verification.report import Report

#: A document's or a letter's place: source, offset, enqueued document.
Place = tuple[int, int, int]
#: What becomes of a dead letter for reasons that lay in the machine and not in the document: it is believed.
MACHINE_REASONS = (MODEL_FAILED, OUT_OF_MEMORY)


@dataclass(slots=True)
class Reread:
    """What one shard came to when it was read again."""

    shard: AnyRow
    source: ShardInput
    letters: list[Letter]
    documents_in: int = 0
    results: int = 0
    #: Documents that another one stands for: accounted for, and left out of the results.
    repeated: int = 0
    tokens: int = 0
    #: (source, offset, document, reason) of what is no document or has no result.
    dead: set[tuple[int, int, int, str]] = field(default_factory=set)

    def bury(self, place: Place, reason: str) -> None:
        """Note that what stands at a place has no result."""
        self.dead.add((*place, reason))

    def believed(self) -> dict[Place, str]:
        """Return the reasons of letters that cannot be computed again."""
        return {
            (letter.source_id, letter.offset, letter.document_id): letter.reason
            for letter in self.letters
            if letter.reason in MACHINE_REASONS
        }


def open_shard(parts: Parts, shard_id: int, report: Report) -> Reread | None:
    """Return a shard ready to be read; None, and the reason in the report, where it cannot be compared."""
    with reading(parts.engine) as connection:
        shard = verification.get_shard(connection, shard_id)
        letters = verification.letters_of(connection, shard)
    if any(letter.reason == SOURCE_UNAVAILABLE and not letter.is_replayed for letter in letters):
        report.left_out.append(f"shard {shard_id}: a source of it was away when it ran; hanmill dead {report.job}")
        return None
    pieces: Mapping[str, Any] = json.loads(shard.pieces or "{}")
    return Reread(shard, ShardInput(parts.engine, pieces, parts.settings.readable_roots), letters)


def read_again(again: Reread, take: Callable[[list[Document]], None]) -> None:
    """Hand all documents of a shard over, in batches, and note what is none."""
    for batch in again.source.batches():
        again.documents_in += batch.records
        again.repeated += batch.repeated
        for letter in batch.letters:
            again.bury(place_of_letter(letter), letter.reason)
        take(batch.documents)


def place_of_letter(letter: DeadLetter) -> Place:
    """Return where a dead letter stands."""
    return letter.source_id, letter.offset, letter.document_id


def place_of_document(document: Document) -> Place:
    """Return where a document stands."""
    if document.source is None:
        return 0, 0, document.document_id
    return int(document.source.id), document.record.offset, 0


def compare_figures(again: Reread, report: Report) -> None:
    """Compare a shard's figures and dead letters; one that ran again since was taken off the shard it came from."""
    shard, replayed = again.shard, sum(letter.is_replayed for letter in again.letters)
    figures = {
        "documents in": (shard.documents_in, again.documents_in - replayed),
        "results": (shard.results, again.results + again.repeated),
        "dead": (shard.dead, len(again.dead) - replayed),
        "tokens": (shard.tokens, again.tokens),
    }
    for name, (stored, recomputed) in figures.items():
        report.compare("figures", stored, recomputed, shard=shard.id, word=name)
    stored_letters = {(letter.source_id, letter.offset, letter.document_id, letter.reason) for letter in again.letters}
    for letter_place in sorted(stored_letters | again.dead):
        report.compare(
            "dead letters",
            _shown(letter_place, stored_letters),
            _shown(letter_place, again.dead),
            shard=shard.id,
            document=f"source {letter_place[0]} at {letter_place[1]}",
        )


def _shown(letter: tuple[int, int, int, str], among: Iterable[tuple[int, int, int, str]]) -> str:
    return letter[3] if letter in among else "none"


def left_out(error: SourceChangedError | SourceUnavailableError, shard_id: int) -> str:
    """Return why a shard cannot be compared."""
    return f"shard {shard_id}: {error}"
