"""`hanmill train summarizer`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from tasks.nn.model_directory import open_model
from workers.cli.edge import EdgeGroup
from workers.cli.train_summarizer import add_to

app = typer.Typer(cls=EdgeGroup)
app.callback()(lambda: None)
add_to(app)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["summarizer", *(str(argument) for argument in arguments)], catch_exceptions=False)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return a file of 24 documents whose second clause is their summary."""
    lines = [
        {
            "text": f"众说纷纭，关于{topic}{number}的研究有进展，各方意见不一。" * 3,
            "summary": f"{topic}{number}的研究有进展",
        }
        for topic in ("水稻", "网络", "法院")
        for number in range(8)
    ]
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def test_a_model_is_trained_written_and_told_about(data: Path, tmp_path: Path) -> None:
    directory = tmp_path / "model"
    done = invoke(data, "--to", directory, "--backend", "spaces-extract", "--seed", 3, "--format", "json")
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    model = open_model(directory)
    assert record["digest"] == model.digest
    assert record["path"] == str(directory)
    assert model.config.kind == "summarizer"
    assert model.config.backend == "spaces-extract"
    assert model.metrics["seed"] == 3
    # Every tenth of 24 records is kept apart: 0, 10 and 20.
    assert "on 21 documents, judged on 3" in done.stderr
    assert "epoch 1: loss" in done.stderr


def test_the_dev_part_and_the_field_can_be_named(data: Path, tmp_path: Path) -> None:
    arguments = ("--to", tmp_path / "model", "--backend", "spaces-extract", "--dev", data, "--target-field", "summary")
    done = invoke(data, *arguments)
    assert done.exit_code == 0
    assert "on 24 documents, judged on 24" in done.stderr
    assert "ROUGE-L" in done.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "甲"}\n', "no record has a text and a title or summary"),
        ('{"text": "甲", "title": "乙"}\n', "give more"),
        ("[]\n", "line 1: is JSON of type list"),
    ],
)
def test_data_that_nothing_can_be_learned_from_are_a_usage_error(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "data.jsonl"
    path.write_text(content, encoding="utf-8")
    done = invoke(path, "--to", tmp_path / "model")
    assert done.exit_code == 2
    assert str(path) in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "model").exists()


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    done = invoke(tmp_path / "none.jsonl", "--to", tmp_path / "model")
    assert done.exit_code == 2
    assert "cannot be read" in done.stderr
