"""`hanmill export`: all results of a corpus in a file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import note

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.engine import Connection
    from storage.exports import Row

EXAMPLE = "Example: hanmill export novels --what counts --to novels.csv.gz"


class What(StrEnum):
    """What is exported."""

    COUNTS = "counts"
    TOKENS = "tokens"
    SUMMARIES = "summaries"
    LABELS = "labels"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(export)


def export(
    corpus: options.CorpusArgument,
    to: options.ExportPath,
    what: Annotated[
        What,
        typer.Option(
            "--what",
            help="counts: word, count, documents. tokens: key, tokens. "
            "summaries: key, summary, model, spans. labels: key, labels.",
        ),
    ],
    fingerprint: options.Fingerprint = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME_OR_DIR",
            help="Pick the summaries or labels of a model: its name, directory or digest.",
        ),
    ] = None,
    all_scores: Annotated[bool, typer.Option("--all-scores", help="Every label with its score.")] = False,
    threshold: Annotated[
        float | None,
        typer.Option(
            "--threshold", min=0, max=1, metavar="P", help="Labels of at least this score, not those the model decided."
        ),
    ] = None,
) -> None:
    """Write all word counts, or the tokens, summaries or labels of every document, to a file.

    Counts come the most frequent first, everything included; the others in order of the keys. Documents without a
    result are left out; one that was classified and got no label has an empty list.
    """
    from storage.engine import reading
    from storage.exports import format_of, write_export
    from workers.cli.opening import open_parts

    format_of(to)
    _check(what, model, all_scores, threshold)
    with open_parts() as parts, reading(parts.engine, unhurried=True) as connection:
        if what is What.COUNTS:
            rows = _counts(connection, corpus, fingerprint)
        else:
            rows = _results(connection, corpus, what, fingerprint, model, 0.0 if all_scores else threshold)
        written = write_export(to, what.value, rows)
    note(f"{to}: {written:,} rows")


def _check(what: What, model: str | None, all_scores: bool, threshold: float | None) -> None:
    message = None
    if what is not What.LABELS and (all_scores or threshold is not None):
        message = f"--all-scores and --threshold are for labels; {what} have no scores"
    elif all_scores and threshold is not None:
        message = "--all-scores writes every label whatever its score; leave it out, or --threshold"
    elif what in {What.COUNTS, What.TOKENS} and model is not None:
        message = f"--model is for summaries and labels; no model makes {what}. --fingerprint picks other {what}"
    if message is not None:
        raise UsageError(message)


def _counts(connection: Connection, corpus: str, fingerprint: str | None) -> Iterator[Row]:
    from storage.exports import count_rows_of
    from workers.cli.results_of import counts_generation

    return count_rows_of(connection, counts_generation(connection, corpus, fingerprint))


def _results(
    connection: Connection,
    corpus: str,
    what: What,
    fingerprint: str | None,
    model: str | None,
    threshold: float | None,
) -> Iterator[Row]:
    from storage.corpora import corpus_id_of
    from storage.exports import label_rows_of, summary_rows_of, token_rows_of
    from workers.cli.results_of import document_fingerprint

    found = document_fingerprint(connection, corpus, what, fingerprint, model)
    corpus_id = corpus_id_of(connection, corpus)
    if what is What.TOKENS:
        return token_rows_of(connection, corpus_id, found)
    if what is What.SUMMARIES:
        return summary_rows_of(connection, corpus_id, found)
    return label_rows_of(connection, corpus_id, found, threshold)
