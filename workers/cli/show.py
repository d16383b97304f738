"""`hanmill show CORPUS KEY`: one document with what is known of it."""

from __future__ import annotations

from collections.abc import Callable
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
    """Show one document: where it stands, how its text begins, its metadata, and all its results.

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
        sha256 = bytes.fromhex(document["sha256"])
        keywords = _keywords(connection, corpus_id, sha256, picked.get("keywords"))
        repeats = _duplicates(connection, corpus_id, document)
        return {**document, **_results(connection, sha256, picked), **keywords, **repeats}


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


def _keywords(connection: Connection, corpus_id: int, sha256: bytes, fingerprint: str | None) -> dict[str, Any]:
    """Return the keywords of a text, and what they were found by; null where there are none."""
    from storage import keywords
    from storage.document_results import complete_fingerprints
    from tasks.keywords.description import described

    found = keywords.find(connection, sha256, fingerprint) if fingerprint else None
    if found is None or fingerprint is None:
        return {"keywords": None, "keywords_by": None}
    parameters = complete_fingerprints(connection, corpus_id, "keywords")[fingerprint]
    return {"keywords": found, "keywords_by": described(parameters)}


def _duplicates(connection: Connection, corpus_id: int, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the group of duplicates that a document is in; null where it is in none, or none were looked for."""
    from storage.duplicates import current_groups, find_member

    generation_id = current_groups(connection, corpus_id)
    place = (document["key"], document["source"], document["offset"])
    return {"duplicates": None if generation_id is None else find_member(connection, generation_id, *place)}


def _missing(corpus: str, key: str) -> str:
    return (
        f"corpus {corpus} has no document {key!r}. Documents have rows once they are enqueued, tokenized, summarized, "
        "classified or searched for keywords; others are found by SOURCE@OFFSET, as `hanmill dead` shows places"
    )


def _print_table(document: dict[str, Any]) -> None:
    shown = {**document}
    for field, show_value in SHOWN.items():
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


def _shown_keywords(keywords: list[dict[str, Any]]) -> str:
    return ", ".join(f"{keyword['word']} {keyword['weight']:.3f}" for keyword in keywords) or "none"


def _shown_duplicates(member: dict[str, Any]) -> str:
    group = f"number {member['number']} of {member['documents']} in group {member['group']} ({member['kind']})"
    alike = f", {member['similarity']:.3f} alike to its first, {member['first']}" if member["number"] > 1 else ""
    return f"{group}{alike}"


#: How lists are shown to people.
SHOWN: dict[str, Callable[[Any], str]] = {
    "tokens": _shown_tokens,
    "spans": _shown_spans,
    "labels": _shown_labels,
    "keywords": _shown_keywords,
    "duplicates": _shown_duplicates,
}
