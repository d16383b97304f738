from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from sqlalchemy import update

from storage.engine import open_engine, transact
from storage.schema import sources, tokens, word_counts
from tests.unit.workers.cli.conftest import Invoke


def alter(home: Path) -> None:
    """Add one to the count of 中国, and to the number of tokens of every text."""
    engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
    of_word = update(word_counts).where(word_counts.c.word == "中国")
    transact(engine, lambda connection: connection.execute(of_word.values(count=word_counts.c.count + 1)))
    transact(engine, lambda connection: connection.execute(update(tokens).values(count=tokens.c.count + 1)))
    engine.dispose()


@pytest.mark.parametrize("job", [1, 2])
def test_a_correct_job_with_standing_dead_letters_gives_3_and_one_without_them_0(
    job: int, poems: Path, invoke: Invoke
) -> None:
    shown = invoke("verify", job, "--all", "--seed", 5)
    assert shown.exit_code == 3
    assert "no differences" in shown.stdout
    assert "--seed 5" in shown.stdout
    assert shown.stderr == f"hanmill: job {job}: 1 dead letters stand; see hanmill dead {job}\n"
    invoke("dead", "discard", job)
    assert invoke("verify", job).exit_code == 0


def test_differences_give_1_and_are_shown_with_their_place(poems: Path, home: Path, invoke: Invoke) -> None:
    alter(home)
    shown = invoke("verify", 1, "--format", "json")
    assert shown.exit_code == 1
    report = json.loads(shown.stdout)
    assert report["found"] == 1
    assert report["differences"] == [
        {"what": "counts", "stored": "3", "recomputed": "2", "shard": None, "document": "", "word": "中国"}
    ]
    assert shown.stderr == "hanmill: job 1: 1 differences\n"
    table = invoke("verify", 2)
    assert table.exit_code == 1
    assert "静夜思" in table.stdout
    rows = list(csv.DictReader(io.StringIO(invoke("verify", 2, "--format", "csv").stdout)))
    assert {(row["what"], row["document"]) for row in rows} == {
        ("number of tokens", "静夜思"),
        ("number of tokens", "春晓"),
    }


def test_a_source_that_changed_is_named_and_nothing_compared_gives_1(
    poems: Path, home: Path, tmp_path: Path, invoke: Invoke
) -> None:
    changed = tmp_path / "changed.jsonl"
    changed.write_text('{"text": "中国"}\n', encoding="utf-8")
    engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
    transact(engine, lambda connection: connection.execute(update(sources).values(uri=str(changed))))
    engine.dispose()
    shown = invoke("verify", 1)
    assert shown.exit_code == 1
    assert "not compared" in shown.stdout
    assert f"{changed} has changed since it was planned" in shown.stdout
    assert shown.stderr == "hanmill: job 1: no shard could be compared\n"


def test_a_job_that_is_not_there_is_wrong_usage(poems: Path, invoke: Invoke) -> None:
    shown = invoke("verify", 9)
    assert shown.exit_code == 2
    assert shown.stderr == "hanmill: there is no job 9; `hanmill jobs` lists them\n"
