"""The labels of documents: all scores of a text packed in one row, and a row for each label that was decided.

A score is what the model puts out, before any threshold; a parent's is at least those of its children already.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, select

from storage import document_results
from storage.bulk import write_new
from storage.documents import ranked_records
from storage.label_sets import labels_of
from storage.models import note_label_set
from storage.schema import document_labels, label_scores, labels

#: Bytes of one packed score.
SCORE_BYTES = 4
#: Decimals of a probability that is shown; the packed scores have about seven digits themselves.
SHOWN_DECIMALS = 6
#: The columns of the two tables, as they are written.
SCORE_COLUMNS = ("sha256", "fingerprint", "model", "label_set_id", "scale", "scores")
LABEL_COLUMNS = ("sha256", "fingerprint", "label_id", "score")


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """The scores of all labels, packed, and (label id, probability) of those that were decided."""

    scores: bytes
    decided: Sequence[tuple[int, float]]


def pack(scores: Sequence[float]) -> bytes:
    """Return scores as 4-byte little-endian floats; `numpy.asarray(scores, "<f4").tobytes()` gives the same."""
    return struct.pack(f"<{len(scores)}f", *scores)


def unpack(packed: bytes) -> tuple[float, ...]:
    """Return packed scores as they were, in order of the labels' positions."""
    return struct.unpack(f"<{len(packed) // SCORE_BYTES}f", packed)


def probability(score: float, scale: float) -> float:
    """Return 1 / (1 + exp(-scale * score)): with a scale of 2, the probability that belongs to the loss ZLPR."""
    power = scale * score
    if power >= 0:
        return 1 / (1 + math.exp(-power))
    # The same, without a number that is too large for a float.
    odds = math.exp(power)
    return odds / (1 + odds)


def known(connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> set[bytes]:
    """Return which texts have scores under a fingerprint."""
    return document_results.known_texts(connection, label_scores, fingerprint, digests)


def save(
    connection: Connection,
    fingerprint: str,
    model: str,
    label_set_id: int,
    rows: Mapping[bytes, ScoredDocument],
    *,
    scale: float,
) -> None:
    """Store the scores and decided labels of texts by their digests; what is there already is the same.

    `model` is the digest of the model, in hex; `scale` is what makes probabilities of its scores. If the model has a
    row, that says from now on what its labels are.
    """
    note_label_set(connection, model, label_set_id)
    # In one order, so that two workers who write the same texts do not wait for each other in a circle.
    ordered = sorted(rows.items())
    scores = [(digest, fingerprint, model, label_set_id, scale, scored.scores) for digest, scored in ordered]
    decided = [
        (digest, fingerprint, label_id, score)
        for digest, scored in ordered
        for label_id, score in sorted(scored.decided)
    ]
    write_new(connection, label_scores, SCORE_COLUMNS, scores)
    write_new(connection, document_labels, LABEL_COLUMNS, decided)


def find(connection: Connection, sha256: bytes, fingerprint: str) -> dict[str, Any] | None:
    """Return {model, labels} of a text, its decided labels the likeliest first; None when it has no scores."""
    of_text = (label_scores.c.sha256 == sha256) & (label_scores.c.fingerprint == fingerprint)
    model = connection.scalar(select(label_scores.c.model).where(of_text))
    if model is None:
        return None
    statement = (
        select(labels.c.name, document_labels.c.score)
        .join(labels, labels.c.id == document_labels.c.label_id)
        .where(document_labels.c.sha256 == sha256, document_labels.c.fingerprint == fingerprint)
        .order_by(document_labels.c.score.desc(), labels.c.position)
    )
    return {"model": model, "labels": [_shown(row.name, row.score) for row in connection.execute(statement)]}


def _shown(label: str, score: float) -> dict[str, Any]:
    return {"label": label, "score": round(score, SHOWN_DECIMALS)}


def model_of(connection: Connection, corpus_id: int, fingerprint: str) -> str | None:
    """Return the digest of the model that made a corpus's scores of a fingerprint."""
    return document_results.model_of(connection, label_scores, corpus_id, fingerprint)


def decided_rows(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[dict[str, Any]]:
    """Yield {key, labels} of every document of a corpus that has scores, in order of keys.

    The labels are those that were decided, the likeliest first; a document without any has an empty list.
    """
    ranked = ranked_records(corpus_id).subquery()
    of_text = (document_labels.c.sha256 == ranked.c.sha256) & (document_labels.c.fingerprint == fingerprint)
    statement = (
        select(ranked.c.key, labels.c.name, document_labels.c.score)
        .join(label_scores, (label_scores.c.sha256 == ranked.c.sha256) & (label_scores.c.fingerprint == fingerprint))
        .outerjoin(document_labels, of_text)
        .outerjoin(labels, labels.c.id == document_labels.c.label_id)
        .where(ranked.c.rank == 1)
        .order_by(ranked.c.key, document_labels.c.score.desc(), labels.c.position)
    )
    with connection.execute(statement.execution_options(yield_per=1000)) as rows:
        for key, group in groupby(rows, key=lambda row: row.key):
            yield {"key": key, "labels": [_shown(row.name, row.score) for row in group if row.name is not None]}


def scored_rows(connection: Connection, corpus_id: int, fingerprint: str, threshold: float) -> Iterator[dict[str, Any]]:
    """Yield {key, labels} as `decided_rows` does, with every label whose probability reaches a threshold instead."""
    ranked = ranked_records(corpus_id).subquery()
    statement = (
        select(ranked.c.key, label_scores.c.label_set_id, label_scores.c.scale, label_scores.c.scores)
        .join(label_scores, (label_scores.c.sha256 == ranked.c.sha256) & (label_scores.c.fingerprint == fingerprint))
        .where(ranked.c.rank == 1)
        .order_by(ranked.c.key)
    )
    names: dict[int, list[str]] = {}
    with connection.execute(statement.execution_options(yield_per=1000)) as rows:
        for row in rows:
            if row.label_set_id not in names:
                names[row.label_set_id] = [label.name for label in labels_of(connection, row.label_set_id)]
            probabilities = [probability(score, row.scale) for score in unpack(row.scores)]
            yield {"key": row.key, "labels": _reaching(names[row.label_set_id], probabilities, threshold)}


def _reaching(names: Sequence[str], probabilities: Sequence[float], threshold: float) -> list[dict[str, Any]]:
    reaching = [(-score, position) for position, score in enumerate(probabilities) if score >= threshold]
    return [_shown(names[position], -negated) for negated, position in sorted(reaching)]
