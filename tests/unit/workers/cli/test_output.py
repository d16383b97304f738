from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest

from workers.cli.options import OutputFormat
from workers.cli.output import Column, human_bytes, instant, number, print_rows, printable, size

ROWS = [{"word": "明月", "count": 12345}, {"word": '"\n,', "count": 1}]
COLUMNS = (Column("word"), number("count"))


def printed(chosen: OutputFormat, capsys: pytest.CaptureFixture[str]) -> str:
    print_rows(ROWS, COLUMNS, chosen)
    return capsys.readouterr().out


def test_json_is_the_rows_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed(OutputFormat.JSON, capsys)) == ROWS


def test_csv_survives_quotes_and_line_feeds(capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.DictReader(io.StringIO(printed(OutputFormat.CSV, capsys), newline="")))
    assert rows == [{"word": "明月", "count": "12345"}, {"word": '"\n,', "count": "1"}]


def test_an_empty_csv_still_has_its_header(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], COLUMNS, OutputFormat.CSV)
    assert capsys.readouterr().out == "word,count\r\n"


def test_a_table_lines_up_chinese_and_escapes_line_feeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(OutputFormat.TABLE, capsys).splitlines() == ["word   count", "明月  12,345", '"\\n,       1']


def test_a_table_takes_brackets_for_brackets(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"word": "[red]明[/red]"}], (Column("word"),), OutputFormat.TABLE)
    assert "[red]明[/red]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KB"), (5 * 1024**2, "5.0 MB"), (2**50, "1024.0 TB")],
)
def test_sizes_are_rounded_for_people(size_bytes: int, text: str) -> None:
    assert human_bytes(size_bytes) == text
    assert size("bytes").show is human_bytes


def test_an_instant_has_an_offset() -> None:
    shown = instant(0.0)
    assert shown is not None
    assert datetime.fromisoformat(shown) == datetime.fromtimestamp(0, UTC)
    assert isinstance(datetime.fromisoformat(shown).utcoffset(), timedelta)
    assert instant(None) is None


def test_nothing_that_is_printed_can_move_the_cursor() -> None:
    assert printable("a\x1b[2Jb\nc") == "a\\x1b[2Jb\\nc"
    assert printable("新闻　一") == "新闻　一"
