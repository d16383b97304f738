"""`hanmill schedule add`: from its options to a schedule. Checks nothing that `workers/schedule_order.py` checks."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from workers.cli import options
from workers.cli.output import note

EXAMPLE = (
    'Example: hanmill schedule add nightly --corpus news --do summarize --cron "30 1 * * *" --tz Asia/Shanghai '
    "--finish-by 06:00 --ingest /data/news"
)
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Overlap(StrEnum):
    """What happens to a run that is due while the one before goes on."""

    SKIP = "skip"
    QUEUE = "queue"


def parse_duration(text: str) -> float:
    """Return a duration in seconds: `6h` -> 21600.0, `90m` -> 5400.0, `30` -> 30.0."""
    match = _DURATION.fullmatch(text.strip().lower())
    duration_s = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if duration_s <= 0:
        message = f"{text!r} is no duration; write seconds, or 90m, 6h, 2d"
        raise typer.BadParameter(message)
    return duration_s


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="How the schedule is called.")],
    corpus: options.Corpus,
    cron: Annotated[
        str, typer.Option("--cron", metavar="LINE", help="Minute, hour, day, month, weekday: '30 1 * * *'.")
    ],
    do: options.Operations = "summarize",
    timezone: Annotated[str, typer.Option("--tz", metavar="ZONE", help="In which --cron and --finish-by are.")] = "UTC",
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=1,
            metavar="N",
            help="About so many documents a run. Counted by whole shards: the last one may go beyond it, and what of a "
            "changed shard was known before counts too. A count that is limited is published when all is counted.",
        ),
    ] = None,
    finish_by: Annotated[
        str | None,
        typer.Option(
            "--finish-by",
            metavar="HH:MM",
            help="The run stops before, early enough for what it has begun; the next one takes what is left.",
        ),
    ] = None,
    overlap: Annotated[
        Overlap, typer.Option("--overlap", help="While the run before goes on: skip this one, or let one wait.")
    ] = Overlap.SKIP,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", parser=parse_duration, metavar="TIME", help="A run that could not begin for longer is missed."
        ),
    ] = "6h",  # type: ignore[assignment]  # Typer parses the default as it parses what is given
    ingest: Annotated[
        list[str] | None,
        typer.Option("--ingest", metavar="INPUT", help="List this before each run; may be given several times."),
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
) -> None:
    """Add a schedule: what to do, with which corpus, and when. A model named `default` is looked up at each run."""
    given = dict(locals())  # Every option under its name; the first statement, so that nothing else is in it.
    from storage.engine import reading
    from storage.schedules import get
    from workers.cli.opening import open_parts
    from workers.cli.ordering import make_order
    from workers.cli.schedule import zoned
    from workers.schedule_order import Timing, add_schedule

    timing = Timing(name, cron, timezone, str(overlap), grace, limit, finish_by)
    with open_parts() as parts:
        add_schedule(parts, make_order({**given, "inputs": ingest or []}, parts.settings), timing)
        with reading(parts.engine) as connection:
            row = get(connection, name)
    note(f"schedule {name} is due at {zoned(row.next_at, row.timezone)} for the first time; any worker starts it")
