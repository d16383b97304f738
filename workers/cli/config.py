"""`hanmill config`: the settings in force, where they come from, and what they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from workers.cli import options
from workers.cli.output import Column, print_rows

if TYPE_CHECKING:
    from workers.settings import Settings

EXAMPLE = "Example: HANMILL_LEASE_S=15 hanmill config"
COLUMNS = (Column("name"), Column("value"), Column("source"), Column("default"), Column("meaning"))


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(config)


def config(output: options.FormatOption = options.OutputFormat.TABLE) -> None:
    """List every setting with its value, its source (environment, secrets or default), its default and its meaning.

    Passwords are masked.
    """
    from workers.settings import load_settings

    print_rows(describe(load_settings()), COLUMNS, output)


def describe(settings: Settings) -> list[dict[str, Any]]:
    """Return one row a setting; sizes in bytes, durations in seconds, as their meaning says."""
    from workers.settings import hide_secrets, source_of

    return [
        {
            "name": f"HANMILL_{name.upper()}",
            "value": _plain(getattr(settings, name), hide_secrets),
            "default": _plain(field.default, hide_secrets),
            "source": source_of(settings, name),
            "meaning": field.description,
        }
        for name, field in type(settings).model_fields.items()
    ]


def _plain(value: Any, mask: Any) -> Any:
    if isinstance(value, tuple):
        return ":".join(value)
    return value if isinstance(value, int | float) else mask(str(value))
