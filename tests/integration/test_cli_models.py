"""Summaries and labels from the command line, with the models that come along, offline."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.support.availability import REPOSITORY

DEFAULTS = {"classifier": "tasks/classify/default", "summarizer": "tasks/summarize/default"}
SAMPLE = REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.jsonl.gz"


def hanmill(home: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HANMILL_HOME": str(home)}
    command = [sys.executable, "-m", "workers.cli.main", *map(str, arguments)]
    return subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=240, check=False
    )


def run(home: Path, *arguments: str | Path, code: int = 0) -> list[dict[str, Any]]:
    done = hanmill(home, "run", *arguments, "--format", "json")
    assert done.returncode == code, done.stderr
    jobs: list[dict[str, Any]] = json.loads(done.stdout)["jobs"]
    return jobs


def export(home: Path, what: str, *options: str) -> list[dict[str, Any]]:
    path = home / f"{what}.jsonl"
    done = hanmill(home, "export", "c", "--what", what, "--to", path, *options)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def milled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a home in which the sample abstracts were summarized and labelled by the models that come along."""
    home = tmp_path_factory.mktemp("m")
    for job in run(home, SAMPLE, "--corpus", "c", "--do", "summarize,classify"):
        assert (job["state"], job["dead"]) == ("DONE", 0)
    return home


def texts_by_key(home: Path, rows: list[dict[str, Any]]) -> dict[str, str]:
    shown = [hanmill(home, "show", "c", row["key"], "--format", "json") for row in rows]
    return {row["key"]: json.loads(one.stdout)["text"] for row, one in zip(rows, shown, strict=True)}


def test_every_summary_is_text_of_its_document_at_the_places_it_names(milled: Path) -> None:
    rows = export(milled, "summaries")
    assert len(rows) > 50
    texts = texts_by_key(milled, rows[:6])
    for row in rows[:6]:
        text = texts[row["key"]]
        assert row["summary"] == "".join(text[start:end] for start, end in row["spans"])
        assert 0 < len(row["summary"]) <= 48


def test_every_result_names_the_digest_of_its_model(milled: Path) -> None:
    listed = json.loads(hanmill(milled, "models", "--format", "json").stdout)
    digests = {model["kind"]: model["digest"] for model in listed if model["path"].endswith("default")}
    assert {row["model"] for row in export(milled, "summaries")} == {digests["summarizer"]}


def test_labels_can_be_decided_anew_without_computing_anything(milled: Path) -> None:
    decided = {row["key"]: row["labels"] for row in export(milled, "labels")}
    everything = {row["key"]: row["labels"] for row in export(milled, "labels", "--all-scores")}
    strict = {row["key"]: row["labels"] for row in export(milled, "labels", "--threshold", "0.99")}
    assert decided.keys() == everything.keys() == strict.keys()
    assert sum(map(len, decided.values())) > 0
    for key, labels in everything.items():
        assert len(labels) == 13
        assert [one for one in labels if one["score"] >= 0.99] == strict[key]
        assert {one["label"] for one in decided[key]} <= {one["label"] for one in labels}


def test_a_second_run_computes_nothing(milled: Path) -> None:
    done = hanmill(milled, "run", SAMPLE, "--corpus", "c", "--do", "summarize,classify")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nothing to compute") == 2


@pytest.mark.parametrize(("kind", "operation"), [("classifier", "classify"), ("summarizer", "summarize")])
def test_one_altered_tensor_is_refused_and_owned_up_to_it_gives_other_results(
    milled: Path, tmp_path: Path, kind: str, operation: str
) -> None:
    from tasks.nn.model_directory import ModelConfig, open_model, write_model  # noqa: PLC0415 - slow

    altered = tmp_path / "altered"
    shutil.copytree(REPOSITORY / DEFAULTS[kind], altered)
    tensors = load_file(altered / "model.safetensors")
    name = max(tensors, key=lambda one: tensors[one].numel())
    tensors[name] = -tensors[name]
    save_file(tensors, altered / "model.safetensors")
    refused = hanmill(milled, "run", SAMPLE, "--corpus", "c", "--do", operation, "--model", altered)
    assert refused.returncode == 2
    assert "altered since the model was written" in refused.stderr
    whole = open_model(REPOSITORY / DEFAULTS[kind])
    record = json.loads((altered / "config.json").read_text())
    files = {one: (altered / one).read_bytes() for one in record["files"] if one != "model.safetensors"}
    config = ModelConfig(kind, whole.config.backend, "altered", "2", whole.config.settings)
    write_model(altered, config, tensors, files)
    what = {"classify": "labels", "summarize": "summaries"}[operation]
    before = export(milled, what, *(["--all-scores"] if operation == "classify" else []))
    run(milled, SAMPLE, "--corpus", "c", "--do", operation, "--model", altered)
    after = export(milled, what, *(["--all-scores"] if operation == "classify" else []))
    differing = sum(one != other for one, other in zip(before, after, strict=True))
    assert differing > len(before) / 2
    # What the model that comes along gave is still there, by its name.
    assert export(milled, what, "--model", "default", *(["--all-scores"] if operation == "classify" else [])) == before


def test_bad_input_has_its_stated_results(tmp_path: Path) -> None:
    texts = {
        "empty": "",
        "white": " \n\u3000\t",
        "emoji": "😀🎉👍" * 60,
        "latin": "The quick brown fox jumps over the lazy dog. " * 30,
        "sentence": "这是一个没有句号的句子" * 9_000,
        "million": "今天的会议讨论了新的方案，代表们提出了意见。" * 45_000,
        "short": "今天天气很好。",
    }
    path = tmp_path / "hostile.jsonl"
    lines = (json.dumps({"id": key, "text": text}, ensure_ascii=False) + "\n" for key, text in texts.items())
    path.write_text("".join(lines), encoding="utf-8")
    options = ("--corpus", "c", "--key-field", "id", "--do", "summarize,classify", "--length", "short")
    for job in run(tmp_path, path, *options, code=3):
        assert (job["state"], job["documents"], job["dead"]) == ("DONE_WITH_DEAD", 7, 2)
    listed = json.loads(hanmill(tmp_path, "dead", "--format", "json").stdout)
    assert {(letter["key"], letter["reason"], letter["line"]) for letter in listed} == {
        ("empty", "empty_text", 1),
        ("white", "empty_text", 2),
    }
    summaries = {row["key"]: row["summary"] for row in export(tmp_path, "summaries")}
    assert summaries["short"] == texts["short"]
    for key, summary in summaries.items():
        assert 0 < len(summary) <= 100
        assert summary == texts[key] or all(piece in texts[key] for piece in [summary[:10], summary[-10:]])
    assert {row["key"] for row in export(tmp_path, "labels")} == texts.keys() - {"empty", "white"}
