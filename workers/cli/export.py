"""`hanmill export`: all results of a corpus in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from storage.export_columns import COLUMNS
from workers.cli import options
from workers.cli.output import note

if TYPE_CHECKING:
    from storage.engine import Connection
    from storage.exports import Row

EXAMPLE = "Example: hanmill export novels --what counts --to novels.csv.gz"


class What(StrEnum):
    """What is exported. Its columns stand in `storage.export_columns`, its rows are found by `ROWS`, below."""

    COUNTS = "counts"
    TOKENS = "tokens"
    SUMMARIES = "summaries"
    LABELS = "labels"
    KEYWORDS = "keywords"
    NEW_WORDS = "new-words"
    DUPLICATES = "duplicates"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which results the user wants."""

    corpus: str
    what: What
    fingerprint: str | None
    model: str | None
    threshold: float | None


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
            help="With these columns: "
            + "; ".join(f"{what}: {', '.join(COLUMNS[what])}" for what in What)
            + ". new-words also to a .txt, for --user-dict.",
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
    """Write all word counts, or the tokens, summaries, labels or keywords of every document, to a file.

    Counts come the most frequent first, everything included; the others in order of the keys. Documents without a
    result are left out; one that was classified and got no label has an empty list.
    """
    from storage.engine import reading
    from storage.exports import format_of, write_export
    from workers.cli.opening import open_parts

    format_of(to, what.value)
    _check(what, model, all_scores, threshold)
    wanted = Wanted(corpus, what, fingerprint, model, 0.0 if all_scores else threshold)
    with open_parts() as parts, reading(parts.engine, unhurried=True) as connection:
        written = write_export(to, what.value, ROWS[what](connection, wanted))
    note(f"{to}: {written:,} rows")


def _check(what: What, model: str | None, all_scores: bool, threshold: float | None) -> None:
    message = None
    if what is not What.LABELS and (all_scores or threshold is not None):
        message = f"--all-scores and --threshold are for labels; {what} have no scores"
    elif all_scores and threshold is not None:
        message = "--all-scores writes every label whatever its score; leave it out, or --threshold"
    elif what not in {What.SUMMARIES, What.LABELS} and model is not None:
        message = f"--model is for summaries and labels; no model makes {what}. --fingerprint picks other {what}"
    if message is not None:
        raise UsageError(message)


def _counts(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import count_rows_of
    from workers.cli.results_of import counts_generation

    return count_rows_of(connection, counts_generation(connection, wanted.corpus, wanted.fingerprint))


def _tokens(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import token_rows_of

    return token_rows_of(connection, *_newest(connection, wanted))


def _summaries(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import summary_rows_of

    return summary_rows_of(connection, *_newest(connection, wanted))


def _labels(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import label_rows_of

    return label_rows_of(connection, *_newest(connection, wanted), wanted.threshold)


def _keywords(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import keyword_rows_of

    return keyword_rows_of(connection, *_newest(connection, wanted))


def _new_words(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from workers.cli.new_words import word_rows
    from workers.cli.results_of import new_words_generation

    return word_rows(connection, new_words_generation(connection, wanted.corpus, wanted.fingerprint))


def _duplicates(connection: Connection, wanted: Wanted) -> Iterator[Row]:
    from storage.exports import duplicate_rows_of
    from workers.cli.results_of import duplicates_generation

    return duplicate_rows_of(connection, duplicates_generation(connection, wanted.corpus, wanted.fingerprint))


def _newest(connection: Connection, wanted: Wanted) -> tuple[int, str]:
    """Return the corpus's id and the fingerprint of the results of single documents that are wanted."""
    from storage.corpora import corpus_id_of
    from workers.cli.results_of import document_fingerprint

    found = document_fingerprint(connection, wanted.corpus, wanted.what, wanted.fingerprint, wanted.model)
    return corpus_id_of(connection, wanted.corpus), found


#: How the rows of each kind are found, once the user has asked for them; nothing heavy is loaded before.
ROWS: dict[What, Callable[[Connection, Wanted], Iterator[Row]]] = {
    What.COUNTS: _counts,
    What.TOKENS: _tokens,
    What.SUMMARIES: _summaries,
    What.LABELS: _labels,
    What.KEYWORDS: _keywords,
    What.NEW_WORDS: _new_words,
    What.DUPLICATES: _duplicates,
}
