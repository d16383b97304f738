"""`hanmill export`: all results of a corpus in a file."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

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


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(export)


def export(
    corpus: options.CorpusArgument,
    to: options.ExportPath,
    what: Annotated[What, typer.Option("--what", help="counts: word, count, documents. tokens: key, tokens.")],
    fingerprint: options.Fingerprint = None,
) -> None:
    """Write all word counts, or the tokens of every document, to a file.

    Counts come the most frequent first, everything included; tokens in order of the keys.
    """
    from storage.engine import reading
    from storage.exports import format_of, write_export
    from workers.cli.opening import open_parts

    format_of(to)
    with open_parts() as parts, reading(parts.engine) as connection:
        written = write_export(to, what.value, _rows(connection, corpus, what, fingerprint))
    note(f"{to}: {written:,} rows")


def _rows(connection: Connection, corpus: str, what: What, fingerprint: str | None) -> Iterator[Row]:
    from storage.corpora import corpus_id_of
    from storage.exports import count_rows_of, token_rows_of
    from workers.cli.results_of import counts_generation, tokens_fingerprint

    if what is What.COUNTS:
        return count_rows_of(connection, counts_generation(connection, corpus, fingerprint))
    found = tokens_fingerprint(connection, corpus, fingerprint)
    return token_rows_of(connection, corpus_id_of(connection, corpus), found)
