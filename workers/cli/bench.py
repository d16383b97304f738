"""`hanmill bench`: this machine's speed at one's own text, beside the loops that it is compared with."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workers.cli import options
from workers.cli.output import Column, note, print_json, print_rows, seconds, size

if TYPE_CHECKING:
    from workers.bench.contest import Measured

EXAMPLE = "Example: hanmill bench news/ --limit 50MB --workers 1,2,4 --to bench/"
#: Text that is taken where --limit names none: the plain loop needs some twenty seconds for it.
DEFAULT_BYTES = 20 * 1024 * 1024
COLUMNS = (
    Column("name", "contender"),
    Column("processes", right=True),
    seconds("seconds", "time"),
    Column("mb_per_s", "MB/s", lambda rate: f"{rate:.2f}", right=True),
    Column("speed_up", "speed-up", lambda ratio: f"{ratio:.2f}", right=True),
    Column("efficiency", "per process", lambda ratio: f"{ratio:.2f}", right=True),
    size("peak_bytes", "memory"),
    Column("identical", "same counts", lambda same: "yes" if same else "NO"),
)


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog=EXAMPLE)(bench)


def bench(
    inputs: options.Inputs,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", parser=options.parse_size, metavar="SIZE", help="Text taken from the inputs; default: 20MB."
        ),
    ] = None,
    workers: Annotated[
        str, typer.Option("--workers", metavar="LIST", help="Numbers of workers to try; default: 1 up to all cores.")
    ] = "",
    to: Annotated[
        Path | None, typer.Option("--to", metavar="DIR", help="Write bench.json and the plot bench.png there.")
    ] = None,
    text_field: options.TextField = "text",
    lines: options.Lines = False,
    encoding: options.Encoding = "utf-8",
    output: options.FormatOption = options.OutputFormat.TABLE,
) -> None:
    """Count the same text by the plain jieba loop, by what others do, and by hanmill, one after the other.

    Each runs in a process of its own; the counts of all are compared with those of the loop.
    """
    from workers.bench import verdict
    from workers.bench.contest import entries

    processes = _numbers(workers)
    folder = Path(tempfile.mkdtemp(prefix="hanmill-bench-"))
    try:
        texts = folder / "texts"
        text_bytes = _write_texts(
            texts, inputs, limit or DEFAULT_BYTES, text_field=text_field, lines=lines, encoding=encoding
        )
        note(f"{text_bytes / 1e6:.1f} MB of text; the plain loop alone takes about {text_bytes / 1e6:.0f} seconds")
        measured = [*_measure(entries(processes), texts, folder)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    rows = verdict.table(measured, text_bytes)
    answers = verdict.sentences(measured)
    report = {"text_bytes": text_bytes, "machine": _machine(), "contenders": rows, "answers": answers}
    if to is not None:
        _write_report(report, to)
    if output is options.OutputFormat.JSON:
        print_json(report)
        return
    print_rows(rows, COLUMNS, output)
    for answer in answers:
        note(answer)


def _numbers(workers: str) -> list[int]:
    from storage.errors import UsageError
    from workers.cores import available_cores

    if not workers:
        return list(range(1, available_cores() + 1))
    try:
        numbers = sorted({int(part) for part in workers.split(",")})
    except ValueError:
        numbers = [0]
    if numbers[0] < 1:
        message = f"--workers {workers}: write whole numbers from 1, such as 1,2,4"
        raise UsageError(message)
    return numbers


def _write_texts(path: Path, inputs: list[str], limit_bytes: int, **reader: Any) -> int:
    """Write the documents of the inputs, a JSON string a line; return the bytes of their text."""
    from storage.errors import UsageError

    text_bytes = 0
    with path.open("w", encoding="utf-8") as file:
        for text in _texts_of(inputs, **reader):
            file.write(json.dumps(text, ensure_ascii=False) + "\n")
            text_bytes += len(text.encode())
            if text_bytes >= limit_bytes:
                break
    if not text_bytes:
        message = "the inputs hold no text; see --text-field, --lines and --encoding"
        raise UsageError(message)
    return text_bytes


def _texts_of(inputs: list[str], **reader: Any) -> Iterator[str]:
    from storage.sources import ListingOptions, Record, list_sources, read
    from workers.settings import load_settings

    settings = load_settings()
    listing = ListingOptions(input_roots=settings.input_roots, max_record_bytes=settings.max_record_bytes, **reader)
    for source in list_sources(inputs, listing, stdin_dir=settings.stdin_dir):
        for record in read(source.uri, source.options):
            if isinstance(record, Record):
                yield record.text


def _measure(wanted: list[Any], texts: Path, folder: Path) -> Iterator[Measured]:
    from workers.bench.contest import run

    for entry in wanted:
        note(f"{entry.name}, {entry.processes} process{'es' if entry.processes > 1 else ''} …")
        yield run(entry, texts, folder, dict(os.environ))  # noqa: TID251 - handed on to the contender


def _machine() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    return {
        "cores": str(os.cpu_count()),
        "machine": platform.machine(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("jieba", "rjieba", "celery", "numpy", "pyarrow")},
    }


def _write_report(report: dict[str, Any], folder: Path) -> None:
    from workers.bench.plot import draw

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    try:
        draw(report["contenders"], folder / "bench.png")
    except ModuleNotFoundError as error:
        note(f"no plot: {error.name} is not installed; pip install 'hanmill[models]'")
