"""`hanmill show CORPUS KEY`: one document with what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import Column, print_json, print_rows, print_table

if TYPE_CHECKING:
    from workers.bootstrap import Parts

EXAMPLE = "Example: hanmill show novels 'chapter-12' --format json"
FIELD_COLUMNS = (Column("field", "document"), Column("value", ""))
#: Tokens that a table shows.
TOKENS_SHOWN = 60


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(show)


def show(
    corpus: options.CorpusArgument,
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its key, or SOURCE@OFFSET.")],
    characters: Annotated[
        int, typer.Option("--characters", min=0, metavar="N", help="How much of the text is shown.")
    ] = 300,
    fingerprint: options.Fingerprint = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show one document: where it stands, how its text begins, its metadata and its tokens."""
    from workers.cli.opening import open_parts

    with open_parts() as parts:
        document = find(parts, corpus, key, fingerprint)
    document["text"] = document["text"][:characters] if document["text"] is not None else None
    if output is options.OutputFormat.JSON:
        print_json(document)
    elif output is options.OutputFormat.CSV:
        print_rows([document], (), output)
    else:
        _print_table(document)


def find(parts: Parts, corpus: str, key: str, fingerprint: str | None) -> dict[str, Any]:
    """Return everything known of a document; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.documents_shown import find_document, find_tokens
    from storage.engine import reading
    from storage.jobs import newest_complete

    with reading(parts.engine) as connection:
        corpus_id = corpus_id_of(connection, corpus)
        document = find_document(connection, corpus_id, key, parts.settings.input_roots)
        if document is None:
            raise UsageError(_missing(corpus, key))
        job = newest_complete(connection, corpus_id, "tokenize", fingerprint)
        tokens = find_tokens(connection, bytes.fromhex(document["sha256"]), job.fingerprint) if job else None
    return {**document, "tokens": tokens}


def _missing(corpus: str, key: str) -> str:
    return (
        f"corpus {corpus} has no document {key!r}. Documents have rows once they are enqueued or tokenized; "
        "others are found by SOURCE@OFFSET, as `hanmill dead` shows places"
    )


def _print_table(document: dict[str, Any]) -> None:
    tokens = document["tokens"]
    shown = {**document, "tokens": None if tokens is None else _shortened(tokens)}
    print_table([{"field": name, "value": value} for name, value in shown.items() if value is not None], FIELD_COLUMNS)


def _shortened(tokens: list[str]) -> str:
    more = f" … ({len(tokens):,} in all)" if len(tokens) > TOKENS_SHOWN else f" ({len(tokens):,})"
    return " / ".join(tokens[:TOKENS_SHOWN]) + more
