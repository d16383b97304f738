"""The program `hanmill`: every command stands in a module of its own, of which only the one that was named is loaded.

That module in turn imports what it needs when it runs. Loading all of them would make `hanmill jobs` wait for the
options of `hanmill train`. A plain `hanmill status JOB` is answered by `glance.py` before there is a command line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

#: Every command and the module that adds it, in the order of the help. `tests/unit/workers/cli/test_main.py` holds
#: them together.
MODULES = {
    "run": "run",
    "submit": "submit",
    "jobs": "job_list",
    "status": "status",
    **dict.fromkeys(("pause", "resume", "cancel", "retry"), "control"),
    "dead": "dead",
    "verify": "verify",
    "top": "top",
    "new-words": "new_words",
    "show": "show",
    "compare": "compare",
    "concordance": "concordance",
    "export": "export",
    "report": "report",
    "corpora": "corpora",
    "schedule": "schedule",
    "models": "models",
    "train": "train",
    "evaluate": "evaluate",
    **dict.fromkeys(("worker", "beat"), "worker"),
    "flower": "flower",
    "exporter": "exporter",
    "probe": "probe",
    "bench": "bench",
    "doctor": "doctor",
    "config": "config",
    "db": "db",
}


def build_app(modules: Iterable[str]) -> typer.Typer:
    """Return the program with the commands of some modules."""
    import typer

    from workers.cli.edge import EdgeGroup

    made = typer.Typer(
        name="hanmill",
        cls=EdgeGroup,
        help="A mill for Chinese text: exact word counts and tokens, from files and producers into SQL.",
        epilog="Start with: hanmill run FILE --corpus NAME. `hanmill COMMAND --help` shows an example of each.",
        no_args_is_help=True,
        add_completion=False,
        # Plain help: drawing it with rich would cost more time than everything else.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    # A program of one command is a group all the same: its name has to be given.
    made.callback()(_nothing_before)
    for name in dict.fromkeys(modules):
        import_module(f"workers.cli.{name}").add_to(made)
    return made


def _nothing_before() -> None:
    pass


def __getattr__(name: str) -> typer.Typer:
    """Return `app`, the program with every command, for who wants to look at all of them."""
    if name != "app":
        message = f"module {__name__} has no attribute {name}"
        raise AttributeError(message)
    return build_app(MODULES.values())


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    if sys.argv[1:2] == ["status"]:
        _answer_at_once()
    import logging

    from workers.cli.edge import EXIT_FAILED, show_bug

    # What a command has to say it says itself; log lines are for the processes that work.
    logging.getLogger().addHandler(logging.NullHandler())
    named = MODULES.get(sys.argv[1]) if len(sys.argv) > 1 else None
    try:
        build_app([named] if named else MODULES.values())(prog_name="hanmill")
    except Exception as error:  # noqa: BLE001 - the edge of the process: a bug is shown, masked
        show_bug(error)
        sys.exit(EXIT_FAILED)


def _answer_at_once() -> None:
    """End the process with the answer to a plain question; return where it is for the command line."""
    from workers.cli.glance import glance

    if glance(sys.argv[1:]):
        sys.exit()


if __name__ == "__main__":
    main()
