"""`hanmill submit`: the same order as `run`, given to a deployment whose workers run elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.edge import EXIT_INTERRUPTED
from workers.cli.output import Column, note, number, print_json, print_rows

if TYPE_CHECKING:
    from workers.bootstrap import Parts
    from workers.submit import Submitted

EXAMPLE = "Example: hanmill submit 's3://bucket/news/*.jsonl' --corpus news --do count --wait"
COLUMNS = (
    Column("id", "job", right=True),
    Column("operation"),
    Column("state"),
    number("shards"),
    number("reused"),
    Column("resumed", show=lambda resumed: "goes on" if resumed else ""),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(submit)


def submit(
    inputs: options.Inputs,
    corpus: options.Corpus,
    do: options.Operations = "count",
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the end; then print what `run` prints.")] = False,
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
    """Give a running deployment work, and print the numbers of the jobs.

    The workers must be able to read the inputs under the same names. With --wait the exit codes are those of `run`.
    """
    given = dict(locals())  # Every option under its name; the first statement, so that nothing else is in it.
    from workers.cli.opening import open_parts, open_publisher
    from workers.cli.ordering import make_order
    from workers.submit import submit as submit_order

    with open_parts() as parts:
        with open_publisher(parts.settings) as publisher:
            submitted = submit_order(parts, publisher, make_order(given, parts.settings))
        if wait:
            raise typer.Exit(wait_and_print(parts, [job.id for job in submitted.jobs], output))
        rows = _rows(parts, submitted)
    if output is options.OutputFormat.JSON:
        print_json({"jobs": rows})
    else:
        print_rows(rows, COLUMNS, output)


def _rows(parts: Parts, submitted: Submitted) -> list[dict[str, Any]]:
    from storage.engine import reading
    from storage.inspection import states_of

    with reading(parts.engine) as connection:
        states = states_of(connection, [job.id for job in submitted.jobs])
    return [
        {
            "id": job.id,
            "operation": job.operation,
            "state": states[job.id],
            "shards": job.plan.shards if job.plan else None,
            "reused": job.plan.reused if job.plan else None,
            "resumed": job.resumed,
        }
        for job in submitted.jobs
    ]


def wait_and_print(parts: Parts, job_ids: list[int], output: options.OutputFormat) -> int:
    """Wait until some jobs have ended, print them as `run` does, and return the exit code."""
    from workers.cli.progress import progress_display
    from workers.cli.result import print_result
    from workers.cli.waiting import wait_for_end

    try:
        with progress_display() as display:
            wait_for_end(parts.engine, job_ids, display)
    except KeyboardInterrupt:
        numbers = " ".join(map(str, job_ids))
        note(f"\nthe work goes on without you: jobs {numbers}; `hanmill status JOB --watch` shows it")
        return EXIT_INTERRUPTED
    return print_result(parts.engine, job_ids, output)
