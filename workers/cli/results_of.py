"""Finds which results of a corpus a command shows: the newest, or those of a fingerprint."""

from __future__ import annotations

from typing import TYPE_CHECKING

from storage.errors import UsageError

if TYPE_CHECKING:
    from storage.engine import Connection


def counts_generation(connection: Connection, corpus: str, fingerprint: str | None) -> int:
    """Return the generation of word counts to show; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.word_counts import current_generation

    found = current_generation(connection, corpus_id_of(connection, corpus), fingerprint)
    if found is None:
        raise UsageError(_missing(corpus, "word counts", "count", fingerprint))
    return found


def tokens_fingerprint(connection: Connection, corpus: str, fingerprint: str | None) -> str:
    """Return the fingerprint of the tokens to show; raises `UsageError` when there are none."""
    from storage import jobs
    from storage.corpora import corpus_id_of

    job = jobs.newest_complete(connection, corpus_id_of(connection, corpus), "tokenize", fingerprint)
    if job is None:
        raise UsageError(_missing(corpus, "tokens", "tokenize", fingerprint))
    return str(job.fingerprint)


def _missing(corpus: str, what: str, operation: str, fingerprint: str | None) -> str:
    if fingerprint is not None:
        return f"corpus {corpus} has no {what} of fingerprint {fingerprint}; `hanmill jobs` shows the fingerprints"
    return f"corpus {corpus} has no {what} yet; make them with --do {operation}, or see `hanmill jobs`"
