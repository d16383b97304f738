"""Arguments and options that several commands share, with their help; and sizes as people write them."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from workers.cli.output_format import OutputFormat as OutputFormat  # noqa: PLC0414 - part of what stands here


class Mode(StrEnum):
    """How jieba cuts."""

    PRECISE = "precise"
    FULL = "full"
    SEARCH = "search"


class Length(StrEnum):
    """How long a summary is."""

    TITLE = "title"
    SHORT = "short"
    LONG = "long"


class Summarizer(StrEnum):
    """What summarizes without a model directory."""

    LEAD = "lead"
    TEXTRANK = "textrank"
    OPENAI = "openai"


class KeywordMethod(StrEnum):
    """How keywords are found."""

    TFIDF = "tfidf"
    TEXTRANK = "textrank"


class Repeats(StrEnum):
    """For what one document stands when duplicates are skipped."""

    NEAR = "near"
    EXACT = "exact"


class Layout(StrEnum):
    """Trees of files that have a meaning."""

    THUCNEWS = "thucnews"


class InputFormat(StrEnum):
    """What an input is, where its name does not say."""

    TXT = "txt"
    LINES = "lines"
    JSONL = "jsonl"
    CSV = "csv"
    TSV = "tsv"
    PARQUET = "parquet"
    THUCNEWS = "thucnews"


#: One size as people write it; the units are binary, as in `--shard-bytes 4MB`, which is 4 · 1024 · 1024 bytes.
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def parse_size(text: str) -> int:
    """Return a size in bytes: `64MB` -> 67108864, `1KB` -> 1024, `500` -> 500."""
    match = _SIZE.fullmatch(text.strip())
    size_bytes = int(float(match[1]) * _UNITS[match[2].lower()]) if match else 0
    if size_bytes < 1:
        message = f"{text!r} is no size; write bytes, or 64KB, 4MB, 1GB"
        raise typer.BadParameter(message)
    return size_bytes


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Files, directories, quoted globs, URLs, or - for standard input. "
        ".txt .jsonl .csv .tsv .parquet, each also with .gz .zst .bz2.",
    ),
]
Corpus = Annotated[str, typer.Option("--corpus", metavar="NAME", help="The corpus that the inputs belong to.")]
CorpusArgument = Annotated[str, typer.Argument(metavar="CORPUS", help="A corpus; `hanmill corpora` lists them.")]
JobArgument = Annotated[int, typer.Argument(metavar="JOB", help="A job's number; `hanmill jobs` lists them.")]
Operations = Annotated[
    str,
    typer.Option(
        "--do",
        metavar="LIST",
        help="What to do, separated by commas: count, tokenize, summarize, classify, keywords, dedup, discover.",
    ),
]
Hmm = Annotated[bool, typer.Option("--hmm/--no-hmm", help="Recognize words that are in no dictionary.")]
ModeOption = Annotated[Mode, typer.Option("--mode", help="How jieba cuts.")]
UserDictionary = Annotated[
    str | None, typer.Option("--user-dict", metavar="FILE", help="More words: `word [frequency] [tag]` a line.")
]
Stopwords = Annotated[str | None, typer.Option("--stopwords", metavar="FILE", help="Tokens to leave out, one a line.")]
MinLength = Annotated[int, typer.Option("--min-length", min=0, help="Leave out tokens of fewer characters.")]
Pattern = Annotated[
    str | None, typer.Option("--pattern", metavar="REGEX", help="Keep only tokens that match as a whole.")
]
Models = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        metavar="NAME_OR_DIR",
        help="For summarize or classify, whichever it is made for; may be given for each. `hanmill models` lists them.",
    ),
]
SummarizerOption = Annotated[
    Summarizer | None,
    typer.Option("--backend", help="Summaries without a model directory: lead, textrank, or openai (a server)."),
]
LengthOption = Annotated[
    Length, typer.Option("--length", help="Of a summary: a line, about 100 characters, or about 300.")
]
MaxChars = Annotated[
    int | None,
    typer.Option("--max-chars", min=1, metavar="N", help="Longest summary, in characters; else by --length."),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--endpoint", metavar="URL", help="Of the server for --backend openai, such as http://127.0.0.1:8000/v1."
    ),
]
ChatTemplateKwargs = Annotated[
    str | None,
    typer.Option(
        "--chat-template-kwargs",
        metavar="JSON",
        help="For --backend openai: what the server's chat template gets, such as '{\"enable_thinking\": false}'.",
    ),
]
Beams = Annotated[
    int | None,
    typer.Option(
        "--beams",
        min=1,
        metavar="N",
        help="For a --model that writes: beams that it decodes with, 1 for greedy; else its own number.",
    ),
]
Faithful = Annotated[
    bool,
    typer.Option(
        "--faithful", help="For a --model that writes: no number that the text has not, digits or Chinese numerals."
    ),
]
Method = Annotated[
    KeywordMethod,
    typer.Option("--method", help="Of keywords: by TF-IDF, or by TextRank, which needs no idf and takes its time."),
]
TopKeywords = Annotated[int, typer.Option("--top-keywords", min=1, metavar="N", help="Keywords of a document at most.")]
Idf = Annotated[
    str | None,
    typer.Option(
        "--idf",
        metavar="corpus|jieba|FILE",
        help="What keywords are weighed by: the corpus's own counts, jieba's file, or one with `word idf` a line; "
        "else the counts if there are any.",
    ),
]
RefreshIdf = Annotated[
    bool,
    typer.Option(
        "--refresh-idf", help="Weigh keywords by the corpus's counts of today, not by those first taken; all anew."
    ),
]
Similarity = Annotated[
    float | None,
    typer.Option(
        "--similarity",
        metavar="S",
        help="For dedup: the share of their three-character runs that two texts have in common, 0.5 to 0.99; else 0.8.",
    ),
]
SkipDuplicates = Annotated[
    Repeats | None,
    typer.Option(
        "--skip-duplicates",
        help="Count one document of each group that dedup has found (near), or of each text (exact).",
    ),
]
MaxLength = Annotated[
    int, typer.Option("--max-length", min=2, max=6, metavar="N", help="Most characters of a new word.")
]
MinCount = Annotated[
    int | None,
    typer.Option(
        "--min-count",
        min=1,
        metavar="N",
        help="How often a new word must stand in the corpus; else once in 100,000 ideographs, but 5 to 32 times.",
    ),
]
MinPmi = Annotated[
    float,
    typer.Option(
        "--min-pmi",
        min=0,
        metavar="X",
        help="How firmly a new word must hold together: pointwise mutual information, natural logarithm, for each "
        "character after the first.",
    ),
]
MinEntropy = Annotated[
    float,
    typer.Option(
        "--min-entropy",
        min=0,
        metavar="X",
        help="How freely a new word must stand: entropy of its neighbours on either side, natural logarithm.",
    ),
]
TextField = Annotated[str, typer.Option("--text-field", metavar="NAME", help="Column that holds the text.")]
KeyField = Annotated[
    str | None, typer.Option("--key-field", metavar="NAME", help="Column that names the document; else path@offset.")
]
DateField = Annotated[
    str | None,
    typer.Option(
        "--date-field",
        metavar="NAME",
        help="Column that holds the date (2024-07-08, 2024年7月8日, a Unix time …), for counts by month.",
    ),
]
Lines = Annotated[bool, typer.Option("--lines", help="In .txt files every line is a document.")]
LayoutOption = Annotated[
    Layout | None, typer.Option("--layout", help="thucnews: category/id.txt, the first line the title.")
]
InputFormatOption = Annotated[
    InputFormat | None, typer.Option("--input-format", help="What the inputs are, where their names do not say.")
]
Encoding = Annotated[str, typer.Option("--encoding", help="Of the text: utf-8, gb18030, gbk, gb2312, big5, or auto.")]
ShardBytes = Annotated[
    int | None,
    typer.Option(
        "--shard-bytes",
        parser=parse_size,
        metavar="SIZE",
        help="Size of a shard, such as 4MB; chosen when a source is first seen, and kept.",
    ),
]
Priority = Annotated[int, typer.Option("--priority", help="Jobs of a higher priority go first.")]
FormatOption = Annotated[OutputFormat, typer.Option("--format", help="How the result is printed.")]
Fingerprint = Annotated[
    str | None,
    typer.Option("--fingerprint", metavar="HEX", help="Pick the results of these options; else the newest."),
]
ExportPath = Annotated[
    Path,
    typer.Option("--to", metavar="FILE", help=".csv, .jsonl or .parquet; .csv and .jsonl also with .gz or .zst."),
]
