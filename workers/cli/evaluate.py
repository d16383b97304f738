"""`hanmill evaluate`: measure a model on records that say what is right, beside baselines computed in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from storage.errors import UsageError
from workers.cli.evaluate_summarizer import Asked, evaluated, print_evaluation
from workers.cli.options import Length, OutputFormat
from workers.cli.output import Column, note, number, print_json, print_rows, print_table
from workers.cli.train_classifier import missing

if TYPE_CHECKING:
    from tasks.classify.evaluate import Evaluation

EXAMPLE = "Example: hanmill evaluate models/cases cases-dev.jsonl --train cases.jsonl"
#: Cases of invention that are listed when nobody says how many.
WORST = 10
#: Rows of the table of labels that a terminal shows; JSON and CSV have all.
LABELS_SHOWN = 25
LABEL_COLUMNS = (
    Column("label"),
    number("texts"),
    number("decided"),
    Column("precision", right=True),
    Column("recall", right=True),
    Column("f1", right=True),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(name="evaluate", epilog=EXAMPLE)(evaluate)


def evaluate(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A model's directory.")],
    data: Annotated[Path, typer.Argument(metavar="DATA", help="JSON Lines with text and labels, or a summary.")],
    train: Annotated[
        Path | None,
        typer.Option("--train", metavar="TRAIN", help="Labelled texts to fit the baseline on; a classifier only."),
    ] = None,
    target_field: Annotated[
        str | None,
        typer.Option("--target-field", metavar="NAME", help="Field with the summary; else title, or summary."),
    ] = None,
    length: Annotated[Length, typer.Option("--length", help="How long summaries are.")] = Length.TITLE,
    max_chars: Annotated[
        int | None, typer.Option("--max-chars", min=1, metavar="N", help="Characters of a summary at most.")
    ] = None,
    faithful: Annotated[
        bool,
        typer.Option("--faithful", help="The model may write no number that the text has not; one that writes only."),
    ] = False,
    worst: Annotated[
        int,
        typer.Option("--worst", min=0, metavar="N", help="Of a summarizer: most inventive summaries that are listed."),
    ] = WORST,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu, or cuda:0.")] = "cpu",
    output: Annotated[OutputFormat, typer.Option("--format", help="How the figures are printed.")] = OutputFormat.TABLE,
) -> None:
    """Measure a model.

    A classifier: F1 (macro is the mean over all labels of the set), precision at 1, 3 and 5, and a table of labels.
    A summarizer: ROUGE and BLEU on characters, beside lead, TextRank and the best extract there is (oracle); how its
    summaries are made of their documents; and the numbers, dates and names in them that the documents do not have. All
    figures are per cent.
    """
    from tasks.model_choice import describe_directory

    try:
        kind = describe_directory(directory.absolute()).kind
        if kind == "classifier":
            if faithful:
                message = f"--faithful is for a summarizer, and {directory} is a classifier; leave it out"
                raise UsageError(message)
            _print_classifier(_classifier(directory, data, train, device), output)
        else:
            asked = Asked(directory, data, target_field, length, max_chars, device, faithful, worst)
            print_evaluation(evaluated(asked), output)
    except ModuleNotFoundError as error:
        raise missing(error) from error


def _classifier(directory: Path, data: Path, train: Path | None, device: str) -> Evaluation:
    from tasks.classify.backends import load_classifier
    from tasks.classify.evaluate import evaluate_classifier
    from tasks.classify.training_data import read_labelled
    from tasks.nn.devices import dtype_for
    from tasks.nn.model_directory import ModelDirectoryError

    texts = read_labelled(data)
    fitted = read_labelled(train) if train is not None else None
    try:
        backend = load_classifier(directory, device, dtype_for(device))
    except ModelDirectoryError as error:
        raise UsageError(str(error)) from error
    return evaluate_classifier(backend, texts, fitted)


def _print_classifier(found: Evaluation, output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json({**found.figures, "labels": found.labels})
        return
    if output is OutputFormat.TABLE:
        systems = {"model": found.figures["model"], "baseline": found.figures.get("baseline", {})}
        names = [name for name in systems["model"] if isinstance(systems["model"][name], float)]
        rows = [{"figure": name, **{system: of.get(name) for system, of in systems.items()}} for name in names]
        print_table(rows, (Column("figure"), Column("model", right=True), Column("baseline", right=True)))
        if found.figures["unknown_labels"]:
            note(f"labels that the model does not know do not count: {', '.join(found.figures['unknown_labels'][:5])}")
    frequent = sorted(found.labels, key=lambda row: -row["texts"])
    print_rows(frequent[:LABELS_SHOWN] if output is OutputFormat.TABLE else frequent, LABEL_COLUMNS, output)
