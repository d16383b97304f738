"""Keywords by the commands that read them: `export` and `show`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from storage import keywords
from storage.documents import text_sha256
from storage.engine import open_engine
from tests.support.builders import call, change_job, end, make_job
from tests.unit.workers.cli.conftest import POEMS, Invoke

NIGHT, SPRING = POEMS[0]["text"], POEMS[2]["text"]
BY_JIEBA, BY_COUNTS = "1" * 32, "2" * 32
#: With all the digits that a weight may have.
WEIGHT = 0.1 + 0.2


@pytest.fixture
def engine(poems: Path, home: Path) -> Iterator[Engine]:
    """Return an engine to the home of the poems, to be given results as their operation would write them."""
    engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
    yield engine
    engine.dispose()


def finish(engine: Engine, fingerprint: str, **parameters: Any) -> None:
    job_id = make_job(engine, corpus="poems", operation="keywords", fingerprint=fingerprint)
    change_job(engine, job_id, parameters=json.dumps({"method": "tfidf", **parameters}))
    end(engine, job_id)


@pytest.fixture
def searched(engine: Engine) -> None:
    """Give the poems keywords by jieba's file, then by the corpus's counts; the second has none."""
    call(engine, keywords.save, BY_JIEBA, {text_sha256(NIGHT): [("故乡", 1.5)]})
    finish(engine, BY_JIEBA, idf="jieba")
    found = {text_sha256(NIGHT): [("明月", WEIGHT), ("故乡", 0.25)], text_sha256(SPRING): []}
    call(engine, keywords.save, BY_COUNTS, found)
    finish(engine, BY_COUNTS, idf="corpus", idf_documents=4000)


EXPECTED: list[dict[str, Any]] = [
    {"key": "春晓", "keywords": []},
    {"key": "静夜思", "keywords": [{"word": "明月", "weight": WEIGHT}, {"word": "故乡", "weight": 0.25}]},
]


def exported(invoke: Invoke, path: Path, *options: object) -> Path:
    shown = invoke("export", "poems", "--what", "keywords", "--to", path, *options)
    assert shown.exit_code == 0, shown.stderr
    return path


@pytest.mark.usefixtures("searched")
def test_the_newest_keywords_are_exported_and_none_is_an_empty_list(invoke: Invoke, tmp_path: Path) -> None:
    lines = exported(invoke, tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == EXPECTED
    with exported(invoke, tmp_path / "a.csv").open(encoding="utf-8", newline="") as rows:
        assert [{**row, "keywords": json.loads(row["keywords"])} for row in csv.DictReader(rows)] == EXPECTED
    assert pq.read_table(exported(invoke, tmp_path / "a.parquet")).to_pylist() == EXPECTED


@pytest.mark.usefixtures("searched")
def test_a_fingerprint_picks_other_keywords(invoke: Invoke, tmp_path: Path) -> None:
    (line,) = exported(invoke, tmp_path / "a.jsonl", "--fingerprint", BY_JIEBA[:5]).read_text("utf-8").splitlines()
    assert json.loads(line)["keywords"] == [{"word": "故乡", "weight": 1.5}]
    refused = invoke("export", "poems", "--what", "keywords", "--to", tmp_path / "b.jsonl", "--model", "x")
    assert (refused.exit_code, "no model makes keywords" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("poems")
def test_what_was_never_made_is_wrong_usage_with_the_remedy(invoke: Invoke, tmp_path: Path) -> None:
    refused = invoke("export", "poems", "--what", "keywords", "--to", tmp_path / "a.jsonl")
    assert (refused.exit_code, "make them with --do keywords" in refused.stderr) == (2, True)


@pytest.mark.usefixtures("searched")
def test_show_gives_the_keywords_and_what_they_were_weighed_by(invoke: Invoke) -> None:
    document = json.loads(invoke("show", "poems", "静夜思", "--format", "json").stdout)
    assert document["keywords"] == EXPECTED[1]["keywords"]
    assert document["keywords_by"] == "tfidf, idf of 4,000 documents of the corpus"
    assert "明月 0.300, 故乡 0.250" in invoke("show", "poems", "静夜思").stdout
    older = json.loads(invoke("show", "poems", "静夜思", "--fingerprint", BY_JIEBA, "--format", "json").stdout)
    assert older["keywords_by"] == "tfidf, idf of jieba"


@pytest.mark.usefixtures("poems")
def test_show_of_a_document_without_keywords_has_nulls(invoke: Invoke) -> None:
    document = json.loads(invoke("show", "poems", "静夜思", "--format", "json").stdout)
    assert (document["keywords"], document["keywords_by"]) == (None, None)
