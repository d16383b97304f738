"""`hanmill new-words`: the words of a corpus that no dictionary has, the best first."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, number, print_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from storage.engine import Connection

EXAMPLE = "Example: hanmill new-words news -n 20"


def _figure(field: str, title: str = "") -> Column:
    return Column(field, title, lambda value: f"{value:.2f}", right=True)


COLUMNS = (
    Column("word"),
    number("count"),
    _figure("pmi"),
    _figure("left_entropy", "left entropy"),
    _figure("right_entropy", "right entropy"),
    _figure("score"),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="new-words", epilog=EXAMPLE)(new_words)


def new_words(
    corpus: options.CorpusArgument,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, metavar="N", help="How many.")] = 50,
    fingerprint: options.Fingerprint = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show the words that `--do discover` found and no dictionary has: names, terms, sayings.

    The score is the mutual information of a word's parts times the entropy of its neighbours. All of them, as a
    dictionary for --user-dict: hanmill export CORPUS --what new-words --to names.txt.
    """
    from storage.engine import reading
    from workers.cli.opening import open_parts
    from workers.cli.results_of import new_words_generation

    with open_parts() as parts, reading(parts.engine) as connection:
        rows = list(islice(word_rows(connection, new_words_generation(connection, corpus, fingerprint)), limit))
    print_rows(rows, COLUMNS, output)


def word_rows(connection: Connection, generation_id: int) -> Iterator[dict[str, Any]]:
    """Yield the rows of new words, the highest score first."""
    from storage.new_words import FIELDS, by_score

    return (dict(zip(FIELDS, row, strict=True)) for row in by_score(connection, generation_id))
