"""`hanmill train summarizer`: a summarizer of one's own from documents with titles or summaries."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import HanmillError, UsageError
from workers.cli.options import OutputFormat
from workers.cli.output import note, print_json
from workers.cli.train_classifier import warn_of_overlap

if TYPE_CHECKING:
    from tasks.nn.fit import Epoch
    from tasks.summarize.training_data import Pair

EXAMPLE = (
    "Example: hanmill train summarizer news.jsonl --target-field summary --backend spaces-extract --to models/news"
)
#: Without --dev, one record of so many is kept apart to judge by.
DEV_EVERY = 10
#: Pairs below which nothing can be learned and judged.
MIN_PAIRS = 2


class TrainedBackend(StrEnum):
    """What can be trained: one line of a text, several clauses, or what writes a line of its own."""

    SPAN = "span"
    GENERATE = "generate"
    SPACES_EXTRACT = "spaces-extract"


def add_to(group: typer.Typer) -> None:
    """Add the command to the group `train`."""
    group.command(name="summarizer", epilog=EXAMPLE)(train_summarizer)


def train_summarizer(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="JSON Lines with text and title or summary; also .gz.")],
    directory: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the model is written.")],
    dev: Annotated[
        Path | None,
        typer.Option("--dev", metavar="DEV", help="Records to judge by; without it every tenth of DATA is kept apart."),
    ] = None,
    backend: Annotated[
        TrainedBackend,
        typer.Option(
            "--backend",
            help="span: one line of the text. generate: writes a line. spaces-extract: clauses of longer documents.",
        ),
    ] = TrainedBackend.SPAN,
    target_field: Annotated[
        str | None,
        typer.Option("--target-field", metavar="NAME", help="Field with the summary; else title, or summary."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal models.")] = 0,
    output: Annotated[OutputFormat, typer.Option("--format", help="How the result is printed.")] = OutputFormat.TABLE,
) -> None:
    """Train a summarizer and write it as a model directory.

    A training that was stopped goes on when the same command is run again.
    """
    train_pairs, dev_pairs = _pairs(data, dev, target_field)
    warn_of_overlap([pair.text for pair in train_pairs], [pair.text for pair in dev_pairs])
    note(f"training {backend.value} on {len(train_pairs):,} documents, judged on {len(dev_pairs):,}")
    made = _train(backend, train_pairs, dev_pairs, directory, seed)
    if output is OutputFormat.JSON:
        print_json(made)
    else:
        typer.echo(
            f"{made['path']}: ROUGE-L {made['rouge_l']:.1f} on dev, epoch {made['epoch']}, {made['seconds']:.0f} s"
        )


def _pairs(data: Path, dev: Path | None, target_field: str | None) -> tuple[Sequence[Pair], Sequence[Pair]]:
    try:
        from tasks.summarize.training_data import TrainingDataError, read_pairs
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    try:
        pairs = read_pairs(data, target_field)
        if dev is not None:
            return pairs, read_pairs(dev, target_field)
    except TrainingDataError as error:
        raise UsageError(str(error)) from error
    if len(pairs) < MIN_PAIRS:
        message = f"{data}: one record cannot be learned from and judged by; give more"
        raise UsageError(message)
    kept_apart = pairs[::DEV_EVERY]
    return [pair for place, pair in enumerate(pairs) if place % DEV_EVERY], kept_apart


def _train(
    backend: TrainedBackend, train: Sequence[Pair], dev: Sequence[Pair], directory: Path, seed: int
) -> dict[str, Any]:
    try:
        from tasks.nn.fit import FitError
        from tasks.summarize.train_generate import GeneratorOptions, train_generate
        from tasks.summarize.train_spaces_extract import train_spaces_extract
        from tasks.summarize.train_span import train_span
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    try:
        if backend is TrainedBackend.SPAN:
            model, report = train_span(train, dev, directory, seed=seed, on_epoch=_tell)
        elif backend is TrainedBackend.GENERATE:
            options = GeneratorOptions(seed=seed)
            model, report = train_generate(train, dev, directory, options, on_epoch=_tell)
        else:
            model, report = train_spaces_extract(train, dev, directory, seed=seed, on_epoch=_tell)
    except FitError as error:
        raise HanmillError(str(error)) from error
    except OSError as error:
        message = f"--to {directory}: cannot be written: {error.strerror}"
        raise UsageError(message) from error
    return {
        "path": str(model.path),
        "digest": model.digest,
        "backend": backend.value,
        "rouge_l": report.best_figure,
        "epoch": report.best_epoch,
        "seconds": report.seconds,
    }


def _tell(epoch: Epoch) -> None:
    note(f"epoch {epoch.number}: loss {epoch.loss:.3f}, ROUGE-L on dev {epoch.figure:.2f}, {epoch.seconds:.0f} s")


def _missing(error: ModuleNotFoundError) -> UsageError:
    message = (
        f"training needs PyTorch and safetensors, and {error.name} is not installed: pip install 'hanmill[models]'"
    )
    return UsageError(message)
