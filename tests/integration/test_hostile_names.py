"""Names and texts that are SQL, or sequences that a terminal obeys, are names and texts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import inspect
from typer.testing import CliRunner

from storage import label_sets, models
from storage.corpora import make_corpus
from storage.engine import reading, transact
from storage.errors import UsageError
from storage.label_sets import Label
from storage.models import NewModel
from storage.schema import metadata
from storage.sources import ListingOptions
from tests.support.inline_mill import InlineMill
from workers.cli.main import app
from workers.producer import ingest
from workers.schedule_order import Timing, add_schedule
from workers.submit import Order

SQL = "'; DROP TABLE shards; --"
MORE_SQL = "\"); DELETE FROM jobs; SELECT ('%s ? :x {0} %(a)s"
#: Clears the screen, sets the window's title, and the same by one character of eight bits.
ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m"
TEXT = f"明月{ESCAPES}几时有{SQL}"
#: What spreadsheets take for formulas.
FORMULA = '=HYPERLINK("http://127.0.0.1","明月")'


@pytest.fixture
def mill(home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    made = InlineMill(home, database_url)
    monkeypatch.setenv("HANMILL_DATABASE_URL", database_url)
    yield made
    with reading(made.parts.engine) as connection:
        # Every table is still there.
        assert set(metadata.tables) <= set(inspect(connection).get_table_names())
    made.parts.engine.dispose()


@pytest.fixture
def say() -> Callable[..., str]:
    """Return a function that runs a command and gives what it prints, in both streams."""

    def run(*arguments: str) -> str:
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False).output

    return run


@pytest.mark.parametrize("name", [SQL, MORE_SQL])
def test_names_that_are_sql_are_names(name: str, mill: InlineMill, say: Callable[..., str]) -> None:
    given = [{"key": name, "text": TEXT, "metadata": {name: name}}]
    ingest(mill.parts, mill, name, given, ["tokenize"], {})
    mill.work()
    shown = json.loads(say("show", name, name, "--format", "json"))
    assert (shown["key"], shown["text"]) == (name, TEXT)
    assert [row["corpus"] for row in json.loads(say("jobs", "--format", "json"))] == [name]
    order = Order(name, [], ["tokenize"], {}, ListingOptions())
    add_schedule(mill.parts, order, Timing("nightly", "0 1 * * *", "Asia/Shanghai"))
    assert name in {row["corpus"] for row in json.loads(say("schedule", "list", "--format", "json"))}
    for command in (
        ("schedule", "show"),
        ("schedule", "history"),
        ("schedule", "pause"),
        ("top",),
        ("models", "default"),
    ):
        assert "Traceback" not in say(*command, name)
    for fingerprint in (name, "%", "_"):
        assert "明" not in say("show", name, name, "--fingerprint", fingerprint, "--format", "json").replace(
            TEXT[:2], ""
        )

    def write(connection: object) -> list[Label]:
        made = label_sets.register(connection, "法律", "1", [Label(name)])  # type: ignore[arg-type]
        new = NewModel("ab" * 32, "法律", name[:20], "classifier", "textcnn", name, metrics={name: name})
        models.register(connection, new)  # type: ignore[arg-type]
        return label_sets.labels_of(connection, made)  # type: ignore[arg-type]

    assert [label.name for label in transact(mill.parts.engine, write)] == [name]


def mill_one(mill: InlineMill, directory: Path, key: str, text: str) -> None:
    """Count and cut one document, and a line that is none."""
    file = directory / "one.jsonl"
    bad = json.dumps({"id": key, "text": 7})
    file.write_text(f"{json.dumps({'id': key, 'text': text})}\n{bad}\n", encoding="utf-8")
    mill.run([file], "news", "count", "tokenize", listing=ListingOptions(key_field="id"))


def test_nothing_that_comes_from_a_document_reaches_a_terminal_raw(
    mill: InlineMill, say: Callable[..., str], tmp_path: Path
) -> None:
    key = f"甲{ESCAPES}"
    mill_one(mill, tmp_path, key, TEXT)
    commands = [
        ("show", "news", key),
        ("show", "news", key, "--format", "json"),
        ("show", "news", f"no such key {ESCAPES}"),
        ("top", "news", "--all"),
        ("top", "news", "--all", "--format", "json"),
        ("top", ESCAPES),
        ("jobs",),
        ("dead",),
        ("schedule", "show", ESCAPES),
    ]
    for command in commands:
        said = say(*command)
        assert said
        assert not set(said) & set("\x1b\x07\x9b"), command
    assert json.loads(say("show", "news", key, "--format", "json"))["text"] == TEXT


def test_an_export_keeps_what_a_spreadsheet_would_take_for_a_formula(
    mill: InlineMill, say: Callable[..., str], tmp_path: Path
) -> None:
    mill_one(mill, tmp_path, FORMULA, "明月")
    file = f"{tmp_path}/tokens.csv"
    said = say("export", "news", "--what", "tokens", "--to", file)
    assert "1 rows" in said
    (row,) = csv.DictReader(io.StringIO(Path(file).read_bytes().decode(), newline=""))
    assert row["key"] == FORMULA


def test_a_corpus_has_a_name(mill: InlineMill) -> None:
    for wrong in ("", "a" * 10_000, "a\x00b"):
        with pytest.raises(UsageError):
            transact(mill.parts.engine, lambda connection, name=wrong: make_corpus(connection, name))  # type: ignore[misc]
