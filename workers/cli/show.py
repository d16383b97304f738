"""`hanmill show CORPUS KEY`: one document with what is known of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import Column, print_json, print_rows, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from storage.engine import Connection
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
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME_OR_DIR",
            help="Pick the summary and labels of a model: its name, directory or digest.",
        ),
    ] = None,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Show one document: where it stands, how its text begins, its metadata, its tokens, its summary, its labels.

    `spans` are the places in the text that the summary was taken from, in characters.
    """
    from workers.cli.opening import open_parts

    with open_parts() as parts:
        document = find(parts, corpus, key, fingerprint, model)
    document["text"] = document["text"][:characters] if document["text"] is not None else None
    if output is options.OutputFormat.JSON:
        print_json(document)
    elif output is options.OutputFormat.CSV:
        print_rows([document], (), output)
    else:
        _print_table(document)


def find(
    parts: Parts, corpus: str, key: str, fingerprint: str | None = None, model: str | None = None
) -> dict[str, Any]:
    """Return everything known of a document; raises `UsageError` when there is none."""
    from storage.corpora import corpus_id_of
    from storage.documents_shown import find_document
    from storage.engine import reading

    with reading(parts.engine) as connection:
        corpus_id = corpus_id_of(connection, corpus)
        document = find_document(connection, corpus_id, key, parts.settings.input_roots)
        if document is None:
            raise UsageError(_missing(corpus, key))
        picked = _pick(connection, corpus_id, fingerprint, model)
        if model is not None and not picked:
            message = f"corpus {corpus} has no summaries and no labels by the model {model}; see `hanmill models`"
            raise UsageError(message)
        return {**document, **_results(connection, bytes.fromhex(document["sha256"]), picked)}


def _pick(connection: Connection, corpus_id: int, fingerprint: str | None, model: str | None) -> dict[str, str]:
    """Return the fingerprint to show of each kind of results; nothing when a model is named that made none of them."""
    from workers.cli.results_of import MODEL_KINDS, OPERATIONS, find_fingerprint

    def pick(kinds: Iterable[str], model: str | None) -> dict[str, str]:
        found = {what: find_fingerprint(connection, corpus_id, what, fingerprint, model) for what in kinds}
        return {what: one for what, one in found.items() if one is not None}

    of_model = {} if model is None else pick(MODEL_KINDS, model)
    # A model is of one kind; of the other kinds the newest results are shown.
    return {} if model is not None and not of_model else {**pick(OPERATIONS, None), **of_model}


def _results(connection: Connection, sha256: bytes, picked: Mapping[str, str]) -> dict[str, Any]:
    """Return what stands of a text under the fingerprints that were picked; null where there is nothing."""
    from storage import label_scores, summaries
    from storage.documents_shown import find_tokens

    cut, made, scored = (picked.get(what) for what in ("tokens", "summaries", "labels"))
    summary = (summaries.find(connection, sha256, made) if made else None) or {}
    labels = (label_scores.find(connection, sha256, scored) if scored else None) or {}
    return {
        "tokens": find_tokens(connection, sha256, cut) if cut else None,
        "summary": summary.get("summary"),
        "spans": summary.get("spans"),
        "summary_model": summary.get("model"),
        "labels": labels.get("labels"),
        "labels_model": labels.get("model"),
    }


def _missing(corpus: str, key: str) -> str:
    return (
        f"corpus {corpus} has no document {key!r}. Documents have rows once they are enqueued, tokenized, summarized "
        "or classified; others are found by SOURCE@OFFSET, as `hanmill dead` shows places"
    )


def _print_table(document: dict[str, Any]) -> None:
    shown = {**document}
    for field, show_value in (("tokens", _shown_tokens), ("spans", _shown_spans), ("labels", _shown_labels)):
        if document[field] is not None:
            shown[field] = show_value(document[field])
    print_table([{"field": name, "value": value} for name, value in shown.items() if value is not None], FIELD_COLUMNS)


def _shown_tokens(tokens: list[str]) -> str:
    more = f" … ({len(tokens):,} in all)" if len(tokens) > TOKENS_SHOWN else f" ({len(tokens):,})"
    return " / ".join(tokens[:TOKENS_SHOWN]) + more


def _shown_spans(spans: list[list[int]]) -> str:
    return ", ".join(f"{start}–{end}" for start, end in spans) or "none: not in the words of the text"


def _shown_labels(labels: list[dict[str, Any]]) -> str:
    return ", ".join(f"{label['label']} {label['score']:.3f}" for label in labels) or "none"
