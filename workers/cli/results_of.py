"""Finds which results of a corpus a command shows: the newest, or those of a fingerprint or of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from storage.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from storage.engine import Connection

#: The operation that makes each kind of result of single documents, and the kind of model it takes, if any.
OPERATIONS = {"tokens": "tokenize", "summaries": "summarize", "labels": "classify", "keywords": "keywords"}
MODEL_KINDS = {"summaries": "summarizer", "labels": "classifier"}


def counts_generation(connection: Connection, corpus: str, fingerprint: str | None) -> int:
    """Return the generation of word counts to show; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.word_counts import current_generation

    found = current_generation(connection, corpus_id_of(connection, corpus), fingerprint)
    if found is None:
        raise UsageError(_missing(corpus, "word counts", "count", fingerprint, None))
    return found


def new_words_generation(connection: Connection, corpus: str, fingerprint: str | None) -> int:
    """Return the generation of new words to show; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.word_counts import current_generation

    found = current_generation(connection, corpus_id_of(connection, corpus), fingerprint, "discover")
    if found is None:
        raise UsageError(_missing(corpus, "new words", "discover", fingerprint, None))
    return found


def duplicates_generation(connection: Connection, corpus: str, fingerprint: str | None) -> int:
    """Return the generation of groups of duplicates to show; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.duplicates import current_groups

    found = current_groups(connection, corpus_id_of(connection, corpus), fingerprint)
    if found is None:
        raise UsageError(_missing(corpus, "duplicates", "dedup", fingerprint, None))
    return found


def document_fingerprint(
    connection: Connection, corpus: str, what: str, fingerprint: str | None = None, model: str | None = None
) -> str:
    """Return the fingerprint of the tokens, summaries or labels to show; raises `UsageError` when there are none."""
    from storage.corpora import corpus_id_of

    found = find_fingerprint(connection, corpus_id_of(connection, corpus), what, fingerprint, model)
    if found is None:
        raise UsageError(_missing(corpus, what, OPERATIONS[what], fingerprint, model))
    return found


def find_fingerprint(
    connection: Connection, corpus_id: int, what: str, fingerprint: str | None = None, model: str | None = None
) -> str | None:
    """Return the fingerprint of a corpus's newest finished results, or None.

    They may be those of a fingerprint or of a model only: its name, its directory, the first digits of its digest, or
    the name of what needs no directory, such as `textrank`.
    """
    from storage.document_results import complete_fingerprints

    found = complete_fingerprints(connection, corpus_id, OPERATIONS[what])
    if fingerprint is not None:
        found = {one: parameters for one, parameters in found.items() if one.startswith(fingerprint)}
    if model is not None and what in MODEL_KINDS:
        return _find_of_model(connection, corpus_id, what, found, model)
    return next(iter(found), None)


def _find_of_model(
    connection: Connection, corpus_id: int, what: str, candidates: Mapping[str, Mapping[str, Any]], model: str
) -> str | None:
    from storage import label_scores, summaries
    from workers.cli.model_directories import digests_named, is_digest_of

    digests = digests_named(connection, MODEL_KINDS[what], model)
    made_by = summaries.model_of if what == "summaries" else label_scores.model_of
    for fingerprint, parameters in candidates.items():
        digest = made_by(connection, corpus_id, fingerprint)
        has_no_directory = "model" not in parameters
        if digest in digests or is_digest_of(model, digest) or (has_no_directory and model in parameters.values()):
            return fingerprint
    return None


def _missing(corpus: str, what: str, operation: str, fingerprint: str | None, model: str | None) -> str:
    if model is not None:
        return f"corpus {corpus} has no {what} by the model {model}; `hanmill models` shows the models"
    if fingerprint is not None:
        return f"corpus {corpus} has no {what} of fingerprint {fingerprint}; `hanmill jobs` shows the fingerprints"
    return f"corpus {corpus} has no {what} yet; make them with --do {operation}, or see `hanmill jobs`"
