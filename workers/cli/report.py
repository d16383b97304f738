"""`hanmill report CORPUS --to FILE.html`: everything there is to see of a corpus, on one page."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli import options
from workers.cli.output import human_bytes, note

if TYPE_CHECKING:
    from storage.engine import Connection
    from workers.bootstrap import Parts
    from workers.report.contents import Report
    from workers.report.gather import Chosen

EXAMPLE = "Example: hanmill report novels --to novels.html"


class PageLanguage(StrEnum):
    """In which language the page speaks of the corpus."""

    EN = "en"
    ZH = "zh"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(report)


def report(
    corpus: options.CorpusArgument,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The page, .html.")],
    words: Annotated[int, typer.Option("--words", min=1, max=5000, metavar="N", help="Words of the table.")] = 2000,
    language: Annotated[PageLanguage, typer.Option("--language", help="Of the page: en or zh.")] = PageLanguage.EN,
    fingerprint: options.Fingerprint = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="NAME_OR_DIR",
            help="Pick the summaries or labels of a model: its name, directory or digest.",
        ),
    ] = None,
) -> None:
    """Write one page with everything there is to see of a corpus: figures, words, plots, samples, dead letters, jobs.

    The page needs no network, wherever it is sent. What the corpus has nothing of is left out, with the command that
    makes it.
    """
    from workers.cli.opening import open_parts
    from workers.cli.output import instant
    from workers.report.frame import check_path, write_page
    from workers.report.page import build_page

    check_path(to)
    with open_parts() as parts:
        found, read_at = _read(parts, corpus, words, fingerprint, model)
    page = build_page(found, language.value, instant(read_at) or "")
    note(f"{to}: {human_bytes(write_page(to, page))}")


def _read(parts: Parts, corpus: str, words: int, fingerprint: str | None, model: str | None) -> tuple[Report, float]:
    """Return what the page shows, and when that was so by the database's clock."""
    from storage.asking import ConnectionAsker
    from storage.engine import reading
    from storage.report_rows import freeze
    from workers.report.gather import gather

    with reading(parts.engine, unhurried=True) as connection:
        freeze(connection)
        chosen = _choose(connection, corpus, words, fingerprint, model, parts.settings.input_roots)
        return gather(connection, chosen), ConnectionAsker(connection).clock()


def _choose(
    connection: Connection,
    corpus: str,
    words: int,
    fingerprint: str | None,
    model: str | None,
    input_roots: tuple[str, ...],
) -> Chosen:
    """Return of which results the page is: of those asked for, and the newest of what was not asked for.

    Raises `UsageError` when there are none, or none of those that were asked for.
    """
    from storage.corpora import corpus_id_of
    from storage.word_counts import current_generation
    from workers.cli.results_of import MODEL_KINDS, find_fingerprint
    from workers.report.gather import Chosen

    corpus_id = corpus_id_of(connection, corpus)
    asked = {what: find_fingerprint(connection, corpus_id, what, fingerprint, model) for what in MODEL_KINDS}
    # A model makes no word counts: one that is named picks none of them.
    counted = current_generation(connection, corpus_id, fingerprint) if model is None else None
    if (fingerprint, model) != (None, None) and not any((counted, *asked.values())):
        message = (
            f"corpus {corpus} has no word counts, summaries or labels "
            f"of {f'the model {model}' if model is not None else f'fingerprint {fingerprint}'}; "
            "`hanmill models` shows the models, `hanmill jobs --format json` the fingerprints"
        )
        raise UsageError(message)
    picked = {what: asked[what] or find_fingerprint(connection, corpus_id, what) for what in MODEL_KINDS}
    counted = counted or current_generation(connection, corpus_id)
    if not any((counted, *picked.values())):
        message = (
            f"corpus {corpus} has no word counts, summaries or labels yet; make them with "
            f"`hanmill run INPUT --corpus {corpus} --do count,summarize,classify`, or see `hanmill jobs`"
        )
        raise UsageError(message)
    return Chosen(corpus, corpus_id, counted, picked["summaries"], picked["labels"], words, tuple(input_roots))
