"""`hanmill train classifier`: a classifier of one's own from labelled texts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from storage.errors import HanmillError, UsageError
from workers.cli.options import OutputFormat
from workers.cli.output import note, print_json

if TYPE_CHECKING:
    from tasks.classify.label_set import LabelSet
    from tasks.classify.train import TrainedClassifier
    from tasks.classify.training_data import LabelledTexts
    from tasks.nn.fit import Epoch

EXAMPLE = "Example: hanmill train classifier cases.jsonl --dev cases-dev.jsonl --to models/cases"
#: Without --dev, one record of so many is kept apart to judge by.
DEV_EVERY = 10


class Loss(StrEnum):
    """What is minimized."""

    ZLPR = "zlpr"
    BCE = "bce"


def add_to(group: typer.Typer) -> None:
    """Add the command to the group `train`."""
    group.command(name="classifier", epilog=EXAMPLE)(train_classifier)


def train_classifier(
    data: Annotated[Path, typer.Argument(metavar="TRAIN", help="JSON Lines with text and labels; also .gz.")],
    directory: Annotated[Path, typer.Option("--to", metavar="DIR", help="Where the model is written.")],
    dev: Annotated[
        Path | None,
        typer.Option(
            "--dev", metavar="DEV", help="Records to judge by; without it every tenth of TRAIN is kept apart."
        ),
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            "--labels",
            metavar="FILE",
            help="The label set, as a model's labels.json: name, version, labels, each with a parent if it has one. "
            "Without it every label of TRAIN, none with a parent.",
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option("--checkpoint", metavar="DIR", help="Fine-tune the encoder of this directory instead."),
    ] = None,
    loss: Annotated[Loss, typer.Option("--loss", help="zlpr, or binary cross-entropy to compare with.")] = Loss.ZLPR,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="For --checkpoint: cpu, cuda:0.")] = "cpu",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds give equal models.")] = 0,
    output: Annotated[OutputFormat, typer.Option("--format", help="How the result is printed.")] = OutputFormat.TABLE,
) -> None:
    """Train a classifier and write it as a model directory, with a report of the training.

    A text may have any number of labels, also none. A training that was stopped goes on when the same command is run
    again.
    """
    train, judged, label_set = _parts(data, dev, directory, labels)
    warn_of_overlap(train.texts, judged.texts)
    note(f"training on {len(train):,} texts with {len(label_set.labels):,} labels, judged on {len(judged):,}")
    unknown = sorted(set(judged.names) - set(label_set.names))
    if unknown:
        note(f"{len(unknown)} labels that only the dev part has are not learned: {', '.join(unknown[:5])}")
    try:
        if checkpoint is not None:
            made = _tuned(checkpoint, train, judged, label_set, directory, loss, seed, device)
        else:
            made = _from_scratch(train, judged, label_set, directory, loss, seed)
    except OSError as error:
        message = f"--to {directory}: cannot be written: {error.strerror or error}"
        raise UsageError(message) from error
    _print(made, output)


def warn_of_overlap(train: Sequence[str], dev: Sequence[str]) -> None:
    """Say how many texts are judged by that are learned from as well."""
    from tasks.text.overlap import overlapping

    found = overlapping(dev, train)
    if found:
        note(f"{len(found):,} of {len(dev):,} texts to judge by are learned from too: the figures will flatter")


def _parts(
    data: Path, dev: Path | None, directory: Path, labels: Path | None
) -> tuple[LabelledTexts, LabelledTexts, LabelSet]:
    from tasks.classify.training_data import read_labelled

    try:
        from tasks.classify.label_set import label_set_of
    except ModuleNotFoundError as error:
        raise missing(error) from error
    train = read_labelled(data)
    if dev is not None:
        judged = read_labelled(dev)
    elif len(train) > 1:
        train, judged = train.split(DEV_EVERY)
    else:
        message = f"{data}: one record cannot be learned from and judged by; give more"
        raise UsageError(message)
    if not train.names:
        message = f"{data}: no text has a label, so there is nothing to learn"
        raise UsageError(message)
    if labels is None:
        return train, judged, label_set_of(directory.absolute().name, "1", train.labels)
    return train, judged, _read_label_set(labels, train)


def _read_label_set(path: Path, train: LabelledTexts) -> LabelSet:
    from tasks.classify.label_set import LabelSet, LabelSetError

    try:
        label_set = LabelSet.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, LabelSetError) as error:
        message = f"--labels {path}: {error}"
        raise UsageError(message) from error
    unknown = sorted(set(train.names) - set(label_set.names))
    if unknown:
        message = (
            f"--labels {path}: lacks labels that texts have: {', '.join(unknown[:5])}; add them, or mend the texts"
        )
        raise UsageError(message)
    return label_set


def _from_scratch(
    train: LabelledTexts, dev: LabelledTexts, label_set: LabelSet, directory: Path, loss: Loss, seed: int
) -> dict[str, Any]:
    try:
        from tasks.classify.train import Reporting
        from tasks.classify.train import train_classifier as train_it
        from tasks.classify.training_batches import TrainOptions
        from tasks.nn.fit import FitError
    except ModuleNotFoundError as error:
        raise missing(error) from error
    options = TrainOptions(loss=loss.value, seed=seed)
    try:
        made = train_it(train, dev, directory, options, Reporting(on_epoch=_tell), label_set)
    except FitError as error:
        raise HanmillError(str(error)) from error
    return _written(made, directory, label_set.name)


def _tuned(
    checkpoint: Path,
    train: LabelledTexts,
    dev: LabelledTexts,
    label_set: LabelSet,
    directory: Path,
    loss: Loss,
    seed: int,
    device: str,
) -> dict[str, Any]:
    try:
        from tasks.classify.train import Reporting
        from tasks.classify.train_encoder import EncoderOptions, train_encoder
        from tasks.nn.fit import FitError
        from tasks.nn.model_directory import ModelDirectoryError
    except ModuleNotFoundError as error:
        raise missing(error) from error
    options = EncoderOptions(loss=loss.value, seed=seed, device=device)
    shown = Reporting(on_epoch=_tell)
    try:
        made = train_encoder(train, dev, checkpoint, directory, options, shown, label_set)
    except ModelDirectoryError as error:
        raise UsageError(str(error)) from error
    except FitError as error:
        raise HanmillError(str(error)) from error
    return _written(made, directory, label_set.name)


def _written(made: TrainedClassifier, directory: Path, name: str) -> dict[str, Any]:
    """Write the report of a training and return what is printed of it."""
    from tasks.classify.training_report import write_report

    write_report(directory, name, made.report, made.metrics)
    figures = {"best_epoch": made.report.best_epoch, "best_micro_f1": made.report.best_figure, **made.metrics}
    return {"path": str(directory), "digest": made.model.digest, "seconds": made.report.seconds, **figures}


def _tell(epoch: Epoch) -> None:
    note(f"epoch {epoch.number}: loss {epoch.loss:.3f}, micro F1 on dev {epoch.figure:.2f}, {epoch.seconds:.0f} s")


def _print(made: dict[str, Any], output: OutputFormat) -> None:
    if output is OutputFormat.JSON:
        print_json(made)
        return
    dev = made.get("dev")
    figure = (
        f"F1 on dev micro {dev['micro_f1']:.1f}, macro {dev['macro_f1']:.1f}"
        if dev is not None
        else f"micro F1 on dev {made['best_micro_f1']:.1f}"
    )
    typer.echo(f"{made['path']}: {figure}, epoch {made['best_epoch']}, {made['seconds']:.0f} s")


def missing(error: ModuleNotFoundError) -> UsageError:
    """Return what to do about a library that is not installed."""
    message = f"models need PyTorch and safetensors, and {error.name} is not installed: pip install 'hanmill[models]'"
    return UsageError(message)
