"""`hanmill train`: models of one's own. Each kind of model has its command in a module of its own."""

from __future__ import annotations

import typer

from workers.cli import train_classifier, train_summarizer
from workers.cli.edge import EdgeGroup

EXAMPLE = "Example: hanmill train classifier cases.jsonl --dev cases-dev.jsonl --to models/cases"


def add_to(app: typer.Typer) -> None:
    """Add the group with its commands."""
    group = typer.Typer(
        cls=EdgeGroup,
        help="Train a classifier or a summarizer of your own.",
        epilog=EXAMPLE,
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.callback()(_prepare)
    train_classifier.add_to(group)
    train_summarizer.add_to(group)
    app.add_typer(group, name="train")


def _prepare() -> None:
    # Before PyTorch is imported: its threads then sleep while they wait for each other. Spinning on cores that others
    # use, they made a step of a training forty times slower.
    from workers.settings import load_settings

    load_settings()
