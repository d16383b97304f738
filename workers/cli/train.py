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
    train_classifier.add_to(group)
    train_summarizer.add_to(group)
    app.add_typer(group, name="train")
