"""The edge between errors and the shell: one sentence on stderr and an exit code, no traceback but for a bug."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer
from typer.core import TyperGroup

from storage.errors import HanmillError, TransientError, UsageError

#: Something failed.
EXIT_FAILED = 1
#: Wrong usage or configuration; nothing was started.
EXIT_USAGE = 2
#: Done, with dead letters that nobody has replayed or discarded.
EXIT_DEAD = 3
#: Interrupted from the keyboard, as shells count it: 128 + SIGINT.
EXIT_INTERRUPTED = 130


class EdgeGroup(TyperGroup):
    """The commands, with every error that hanmill raises on purpose turned into a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that the user named."""
        try:
            return super().invoke(ctx)
        except HanmillError as error:
            raise _exit(error) from error
        except Exception as error:
            # Whatever is no fault of the database is a bug, and is loud.
            fault = _database_fault(error)
            if fault is None:
                raise
            raise _exit(fault) from error


class DefaultCommandGroup(TyperGroup):
    """A group whose command `list` need not be named: `hanmill dead 5` is `hanmill dead list 5`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Name the command where the user did not."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _exit(error: HanmillError) -> typer.Exit:
    from workers.cli.output import note
    from workers.settings import hide_secrets

    note(hide_secrets(f"hanmill: {error}"))
    return typer.Exit(EXIT_USAGE if isinstance(error, UsageError) else EXIT_FAILED)


def show_bug(error: BaseException) -> None:
    """Write the traceback of a bug as Python does, without the secrets that its sentences may hold."""
    from workers.settings import hide_secrets

    typer.echo(hide_secrets("".join(traceback.format_exception(error))), err=True, nl=False)


def _database_fault(error: Exception) -> HanmillError | None:
    # A command that never came near a database cannot have trouble with it, and need not import it here.
    if "sqlalchemy" not in sys.modules:
        return None
    from storage.inspection import fault_of

    text = fault_of(error)
    return TransientError(text) if text is not None else None
