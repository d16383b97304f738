"""`hanmill top`: the most frequent words of a corpus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, number, print_rows

EXAMPLE = "Example: hanmill top novels -n 20 --format csv"
COLUMNS = (Column("word"), number("count"), number("documents"))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(top)


def top(
    corpus: options.CorpusArgument,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, metavar="N", help="How many.")] = 50,
    everything: Annotated[bool, typer.Option("--all", help="Punctuation, signs and white space too.")] = False,
    fingerprint: options.Fingerprint = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show the most frequent words, with how often they stand in the corpus and in how many documents.

    Tokens with no letter, digit or ideograph are left out unless --all asks for them.
    """
    from storage.engine import reading
    from storage.word_counts import by_count
    from workers.cli.opening import open_parts
    from workers.cli.results_of import counts_generation

    with (
        open_parts() as parts,
        reading(parts.engine) as connection,
        closing(by_count(connection, counts_generation(connection, corpus, fingerprint))) as counted,
    ):
        rows = list(islice(_named(counted) if everything else words_only(counted), limit))
    print_rows(rows, COLUMNS, output)


def words_only(counted: Iterable[tuple[str, int, int]]) -> Iterator[dict[str, Any]]:
    """Yield the rows of tokens that show as words."""
    from tasks.text.token_filter import has_letter_digit_or_ideograph

    return (row for row in _named(counted) if has_letter_digit_or_ideograph(row["word"]))


def _named(counted: Iterable[tuple[str, int, int]]) -> Iterator[dict[str, Any]]:
    return ({"word": word, "count": count, "documents": documents} for word, count, documents in counted)
