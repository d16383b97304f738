"""`hanmill run`: the whole job on one machine with nothing set up. The processes are `session`'s business."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn

import typer

from workers.cli import options
from workers.cli.edge import EXIT_INTERRUPTED
from workers.cli.output import note

EXAMPLE = "Example: hanmill run novels/ --corpus novels --do count,tokenize --workers 2"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(run)


def run(
    inputs: options.Inputs,
    corpus: options.Corpus,
    do: options.Operations = "count",
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, metavar="N", help="Worker processes; default: one a core.")
    ] = None,
    hmm: options.Hmm = True,
    mode: options.ModeOption = options.Mode.PRECISE,
    user_dict: options.UserDictionary = None,
    stopwords: options.Stopwords = None,
    min_length: options.MinLength = 0,
    pattern: options.Pattern = None,
    models: options.Models = None,
    backend: options.SummarizerOption = None,
    length: options.LengthOption = options.Length.TITLE,
    max_chars: options.MaxChars = None,
    endpoint: options.Endpoint = None,
    chat_template_kwargs: options.ChatTemplateKwargs = None,
    beams: options.Beams = None,
    faithful: options.Faithful = False,
    method: options.Method = options.KeywordMethod.TFIDF,
    top_keywords: options.TopKeywords = 20,
    idf: options.Idf = None,
    refresh_idf: options.RefreshIdf = False,
    max_length: options.MaxLength = 4,
    min_count: options.MinCount = None,
    min_pmi: options.MinPmi = 2.0,
    min_entropy: options.MinEntropy = 1.5,
    similarity: options.Similarity = None,
    skip_duplicates: options.SkipDuplicates = None,
    text_field: options.TextField = "text",
    key_field: options.KeyField = None,
    date_field: options.DateField = None,
    lines: options.Lines = False,
    layout: options.LayoutOption = None,
    input_format: options.InputFormatOption = None,
    encoding: options.Encoding = "utf-8",
    shard_bytes: options.ShardBytes = None,
    priority: options.Priority = 0,
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Do the whole job here and now, with nothing set up.

    Starts its own Redis and workers, keeps everything in .hanmill (or HANMILL_HOME), shows the progress and prints
    the result. A second run goes on where the first was stopped, and computes nothing that is known.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 3 done with dead letters.
    """
    given = dict(locals())  # Every option under its name; the first statement, so that nothing else is in it.
    from workers.cli.ordering import make_order
    from workers.cli.progress import progress_display
    from workers.cli.result import print_result
    from workers.cli.session import open_session
    from workers.cores import available_cores
    from workers.settings import load_settings

    settings = load_settings()
    try:
        with _terminated_as_interrupted(), open_session(settings) as session:
            with progress_display() as display:
                job_ids = session.run(make_order(given, settings), workers or available_cores(), display)
            code = print_result(session.engine, job_ids, output)
    except KeyboardInterrupt:
        note("\nstopped; run the same command again to go on")
        code = EXIT_INTERRUPTED
    raise typer.Exit(code)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let `kill` and a closed terminal end the run in order too, as Ctrl-C does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
