"""Summaries and labels by the commands that read them: `export` and `show`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from storage import label_scores, summaries
from storage.documents import text_sha256
from storage.engine import open_engine
from storage.label_scores import ScoredDocument, pack, probability
from storage.label_sets import Label, label_ids, register
from storage.models import NewModel
from storage.models import register as register_model
from tests.support.builders import call, change_job, end, make_job
from tests.unit.workers.cli.conftest import POEMS, Invoke

NIGHT, SPRING = POEMS[0]["text"], POEMS[2]["text"]
TITLE_MODEL, LONG_MODEL, LABEL_MODEL = "a" * 64, "b" * 64, "c" * 64
TITLES, LONG, LABELS = "1" * 32, "2" * 32, "3" * 32


@pytest.fixture
def engine(poems: Path, home: Path) -> Iterator[Engine]:
    """Return an engine to the home of the poems, to be given results as their operations would write them."""
    engine = open_engine(f"sqlite:///{home / 'hanmill.db'}")
    yield engine
    engine.dispose()


def finish(engine: Engine, operation: str, fingerprint: str) -> None:
    end(engine, make_job(engine, corpus="poems", operation=operation, fingerprint=fingerprint))


@pytest.fixture
def summarized(engine: Engine) -> None:
    """Give the poems long summaries, then titles."""
    long = {text_sha256(NIGHT): (NIGHT[:11], [(0, 11)])}
    call(engine, summaries.save, LONG, LONG_MODEL, long)
    finish(engine, "summarize", LONG)
    titles = {text_sha256(NIGHT): ("明月故乡", [(2, 4), (21, 23)]), text_sha256(SPRING): ("春天", [(3, 5)])}
    call(engine, summaries.save, TITLES, TITLE_MODEL, titles)
    finish(engine, "summarize", TITLES)


def classify(engine: Engine, scores: dict[str, Sequence[float]]) -> None:
    label_set_id = call(engine, register, "题材", "1", [Label("思乡"), Label("春"), Label("边塞")])
    ids = call(engine, label_ids, label_set_id)
    rows = {
        text_sha256(text): ScoredDocument(
            pack(given), [(ids[place], probability(score, 2.0)) for place, score in enumerate(given) if score > 0]
        )
        for text, given in scores.items()
    }
    call(engine, label_scores.save, LABELS, LABEL_MODEL, label_set_id, rows, scale=2.0)
    finish(engine, "classify", LABELS)


@pytest.fixture
def classified(engine: Engine) -> None:
    """Give the first poem two labels, and the other none."""
    classify(engine, {NIGHT: [2.0, 0.25, -2.0], SPRING: [-1.0, -0.1, -3.0]})


def exported(invoke: Invoke, path: Path, *options: object) -> list[dict[str, Any]]:
    shown = invoke("export", "poems", "--to", path, *options)
    assert shown.exit_code == 0, shown.stderr
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.usefixtures("summarized")
def test_the_newest_summaries_are_exported_with_their_model_and_places(invoke: Invoke, tmp_path: Path) -> None:
    rows = exported(invoke, tmp_path / "a.jsonl", "--what", "summaries")
    assert rows == [
        {"key": "春晓", "summary": "春天", "model": TITLE_MODEL, "spans": [[3, 5]]},
        {"key": "静夜思", "summary": "明月故乡", "model": TITLE_MODEL, "spans": [[2, 4], [21, 23]]},
    ]
    assert "".join(NIGHT[start:end] for start, end in rows[1]["spans"]) == rows[1]["summary"]


@pytest.mark.usefixtures("summarized")
def test_a_fingerprint_or_a_model_picks_other_summaries(engine: Engine, invoke: Invoke, tmp_path: Path) -> None:
    model = NewModel(LONG_MODEL, "长摘要", "1", "summarizer", "span", "/models/long")
    call(engine, register_model, model)
    # What the name means now is another model: the results are still those of the one it meant.
    call(engine, register_model, NewModel("d" * 64, "长摘要", "2", "summarizer", "span", "/models/long"))
    for option in (
        ("--fingerprint", LONG[:6]),
        ("--model", LONG_MODEL),
        ("--model", LONG_MODEL[:8]),
        ("--model", "长摘要"),
        ("--model", "/models/long"),
    ):
        (row,) = exported(invoke, tmp_path / "a.jsonl", "--what", "summaries", *option)
        assert (row["model"], row["summary"]) == (LONG_MODEL, NIGHT[:11])


@pytest.mark.usefixtures("summarized", "classified")
@pytest.mark.parametrize("what", ["summaries", "labels"])
def test_a_model_that_made_nothing_is_wrong_usage(what: str, invoke: Invoke, tmp_path: Path) -> None:
    shown = invoke("export", "poems", "--to", tmp_path / "a.jsonl", "--what", what, "--model", "e" * 64)
    assert shown.exit_code == 2
    assert f"has no {what} by the model" in shown.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("what", "operation"), [("summaries", "summarize"), ("labels", "classify")])
def test_what_was_never_made_is_wrong_usage_with_the_remedy(
    what: str, operation: str, poems: Path, invoke: Invoke, tmp_path: Path
) -> None:
    shown = invoke("export", "poems", "--to", tmp_path / "a.jsonl", "--what", what)
    assert shown.exit_code == 2
    assert f"--do {operation}" in shown.stderr


@pytest.mark.usefixtures("classified")
def test_decided_labels_are_exported_and_none_is_an_empty_list(invoke: Invoke, tmp_path: Path) -> None:
    rows = exported(invoke, tmp_path / "a.jsonl", "--what", "labels")
    assert rows == [
        {"key": "春晓", "labels": []},
        {"key": "静夜思", "labels": [{"label": "思乡", "score": 0.982014}, {"label": "春", "score": 0.622459}]},
    ]


@pytest.mark.usefixtures("classified")
def test_all_scores_and_a_threshold_need_no_model(invoke: Invoke, tmp_path: Path) -> None:
    everything = exported(invoke, tmp_path / "a.jsonl", "--what", "labels", "--all-scores")
    assert [[label["label"] for label in row["labels"]] for row in everything] == [
        ["春", "思乡", "边塞"],
        ["思乡", "春", "边塞"],
    ]
    assert everything[1]["labels"][2] == {"label": "边塞", "score": 0.017986}
    decided = exported(invoke, tmp_path / "b.jsonl", "--what", "labels", "--threshold", 0.4)
    assert [[label["label"] for label in row["labels"]] for row in decided] == [["春"], ["思乡", "春"]]


@pytest.mark.usefixtures("classified")
def test_labels_are_written_as_csv_and_parquet_too(invoke: Invoke, tmp_path: Path) -> None:
    expected = exported(invoke, tmp_path / "a.jsonl", "--what", "labels")
    for name in ("a.csv", "a.parquet"):
        assert invoke("export", "poems", "--what", "labels", "--to", tmp_path / name).exit_code == 0
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as lines:
        assert [{**row, "labels": json.loads(row["labels"])} for row in csv.DictReader(lines)] == expected
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == expected


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--what", "summaries", "--all-scores"), "are for labels; summaries have no scores"),
        (("--what", "counts", "--threshold", 0.3), "are for labels; counts have no scores"),
        (("--what", "labels", "--threshold", 0.3, "--all-scores"), "leave it out, or --threshold"),
        (("--what", "labels", "--threshold", 1.5), "--threshold"),
        (("--what", "tokens", "--model", "default"), "no model makes tokens"),
    ],
)
def test_options_that_mean_nothing_together_are_wrong_usage(
    options: tuple[object, ...], reason: str, poems: Path, invoke: Invoke, tmp_path: Path
) -> None:
    shown = invoke("export", "poems", "--to", tmp_path / "a.jsonl", *options)
    assert shown.exit_code == 2
    assert reason in shown.stderr


@pytest.mark.usefixtures("summarized", "classified")
def test_show_gives_the_summary_with_its_places_and_the_labels(invoke: Invoke) -> None:
    document = json.loads(invoke("show", "poems", "静夜思", "--format", "json").stdout)
    assert (document["summary"], document["spans"]) == ("明月故乡", [[2, 4], [21, 23]])
    assert (document["summary_model"], document["labels_model"]) == (TITLE_MODEL, LABEL_MODEL)
    assert document["labels"] == [{"label": "思乡", "score": 0.982014}, {"label": "春", "score": 0.622459}]
    assert "".join(document["tokens"]) == NIGHT
    long = json.loads(invoke("show", "poems", "静夜思", "--model", LONG_MODEL, "--format", "json").stdout)
    # It made no labels: those are the newest.
    assert (long["summary"], long["labels"]) == (NIGHT[:11], document["labels"])
    nothing = invoke("show", "poems", "静夜思", "--model", "e" * 64)
    assert (nothing.exit_code, "no summaries and no labels by the model" in nothing.stderr) == (2, True)


def test_what_needs_no_directory_is_picked_by_its_name(engine: Engine, invoke: Invoke, tmp_path: Path) -> None:
    for fingerprint, backend in (("4" * 32, "textrank"), ("5" * 32, "lead")):
        made = {text_sha256(NIGHT): (backend, [(0, 1)])}
        call(engine, summaries.save, fingerprint, fingerprint * 2, made)
        job_id = make_job(engine, corpus="poems", operation="summarize", fingerprint=fingerprint)
        change_job(engine, job_id, parameters=json.dumps({"backend": backend, "length": "title"}))
        end(engine, job_id)
    for backend in ("textrank", "lead"):
        (row,) = exported(invoke, tmp_path / "a.jsonl", "--what", "summaries", "--model", backend)
        assert row["summary"] == backend


@pytest.mark.usefixtures("summarized", "classified")
def test_show_prints_places_and_labels_for_people(invoke: Invoke) -> None:
    shown = invoke("show", "poems", "静夜思").stdout
    assert "2–4, 21–23" in shown
    assert "思乡 0.982, 春 0.622" in shown
    assert "none" in invoke("show", "poems", "春晓").stdout


def test_show_of_a_document_without_results_has_nulls(poems: Path, invoke: Invoke) -> None:
    document = json.loads(invoke("show", "poems", "静夜思", "--format", "json").stdout)
    assert {name: document[name] for name in ("summary", "spans", "labels")} == dict.fromkeys(
        ("summary", "spans", "labels")
    )
