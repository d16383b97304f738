"""How commands print: tables for people, JSON and CSV for programs. Asks nothing of the database.

JSON and CSV carry plain values (bytes, seconds, ISO 8601 instants); only tables round them for the eye.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from workers.cli.output_format import OutputFormat

#: Controls that JSON lets stand as they are, and terminals obey.
_CONTROLS = re.compile("[\x7f-\x9f]")


class Column(NamedTuple):
    """One column of a table: the field it shows, and how."""

    field: str
    title: str = ""
    show: Callable[[Any], str] | None = None
    right: bool = False


def number(field: str, title: str = "") -> Column:
    """Return a column of whole numbers with their thousands apart."""
    return Column(field, title, lambda value: f"{value:,}", right=True)


def size(field: str, title: str = "") -> Column:
    """Return a column of bytes, shown as `1.5 MB`."""
    return Column(field, title, human_bytes, right=True)


def seconds(field: str, title: str = "") -> Column:
    """Return a column of durations, shown as `12.3 s`."""
    return Column(field, title, lambda value: f"{value:,.1f} s", right=True)


def human_bytes(size_bytes: float) -> str:
    """Return a size for people: `512 B`, `1.5 MB`; units of 1024."""
    value = float(size_bytes)
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024:  # noqa: PLR2004 - what units are made of
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TB"


def instant(epoch_s: float | None) -> str | None:
    """Return an instant as ISO 8601 with the offset of this machine's time zone."""
    if epoch_s is None:
        return None
    return datetime.fromtimestamp(epoch_s).astimezone().isoformat(timespec="seconds")


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], chosen: OutputFormat) -> None:
    """Print a listing in the format that the user chose; JSON and CSV have every field of the rows."""
    if chosen is OutputFormat.JSON:
        print_json(list(rows))
    elif chosen is OutputFormat.CSV:
        _print_csv(rows, columns)
    else:
        print_table(rows, columns)


def _say(text: str, *, err: bool = False) -> None:
    """Write a line at once, also where the locale has not all of its characters."""
    stream = sys.stderr if err else sys.stdout
    if getattr(stream, "encoding", "") == "utf-8":
        stream.write(f"{text}\n")
        stream.flush()
        return
    # Typer knows what to do with all other streams, and takes a command longer to load than the rest of it.
    from typer import echo

    echo(text, err=err)


def print_json(value: object) -> None:
    """Print one JSON value on stdout."""
    _say(_CONTROLS.sub(_as_json_escape, json.dumps(value, ensure_ascii=False, indent=1)))


def _as_json_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _print_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> None:
    fields = list(rows[0]) if rows else [column.field for column in columns]
    writer = csv.DictWriter(sys.stdout, fields)
    writer.writeheader()
    # A program gets what there is; on a terminal nothing may move the cursor.
    writer.writerows([_printable_row(row) for row in rows] if sys.stdout.isatty() else rows)


def _printable_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: printable(value) if isinstance(value, str) else value for name, value in row.items()}


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[Column], title: str | None = None) -> None:
    """Print a table on stdout, Chinese characters counted as two columns wide; a title comes after a blank line."""
    if title is not None:
        _say(f"\n{printable(title)}".rstrip())
    headings = [column.title or column.field for column in columns]
    cells = [[_cell(row.get(column.field), column) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _print_on_screen(headings, cells, columns)
    else:
        _print_in_pipe([headings, *cells], columns)


def _print_on_screen(headings: Sequence[str], cells: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    """Print a table as wide as the screen, long cells folded."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading, column in zip(headings, columns, strict=True):
        table.add_column(Text(heading), justify="right" if column.right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    Console(highlight=False).print(table)


def _print_in_pipe(lines: Sequence[Sequence[str]], columns: Sequence[Column]) -> None:
    """Print a table as wide as its cells are, two blanks between columns; nothing is cut off or folded."""
    from rich.cells import cell_len

    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(columns))]
    for line in lines:
        padded = []
        for cell, width, column in zip(line, widths, columns, strict=True):
            blanks = " " * (width - cell_len(cell))
            padded.append(blanks + cell if column.right else cell + blanks)
        # In a pipe nobody wants the blanks that fill up the last column.
        _say("  ".join(padded).rstrip())


def _cell(value: Any, column: Column) -> str:
    if value is None:
        return ""
    return printable(column.show(value) if column.show else str(value))


def printable(text: str) -> str:
    r"""Return a text in which nothing can move the cursor: a line feed -> `\n`, an escape character -> `\x1b`."""
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def _escaped(character: str) -> str:
    # The ideographic space is not "printable" to Python, and stands in every other Chinese text.
    if character.isprintable() or character == "\u3000":
        return character
    return character.encode("unicode_escape").decode()


def note(text: str) -> None:
    """Tell the user something on stderr that is not the result."""
    _say(printable_lines(text), err=True)


def printable_lines(text: str) -> str:
    """Return a text of several lines in which nothing but their ends can move the cursor."""
    return "\n".join(printable(line) for line in text.split("\n"))
