"""The program `hanmill`: every command, each in a module of its own that imports what it needs when it runs."""

from __future__ import annotations

import logging

import typer

from workers.cli import (
    bench,
    config,
    control,
    corpora,
    db,
    dead,
    doctor,
    evaluate,
    export,
    exporter,
    flower,
    job_list,
    models,
    probe,
    run,
    schedule,
    show,
    status,
    submit,
    top,
    train,
    worker,
)
from workers.cli.edge import EdgeGroup

app = typer.Typer(
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
COMMANDS = (
    *(run, submit, job_list, status, control, dead, top, show, export, corpora),
    *(schedule, models, train, evaluate, worker, flower, exporter, probe, bench, doctor, config, db),
)
for module in COMMANDS:
    module.add_to(app)


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    # What a command has to say it says itself; log lines are for the processes that work.
    logging.getLogger().addHandler(logging.NullHandler())
    app(prog_name="hanmill")


if __name__ == "__main__":
    main()
