from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from tasks.nn.backend import UnfitTextError
from workers.cli import evaluate, train_classifier
from workers.cli.edge import EdgeGroup

Command = Callable[..., Result]
SENTENCES: tuple[tuple[str, list[str]], ...] = (
    ("原告请求判令离婚，第{}号。", ["离婚"]),
    ("被告拖欠原告第{}月工资。", ["工资"]),
    ("双方离婚后被告拖欠工资，见第{}页。", ["离婚", "工资"]),
    ("本院于第{}日开庭审理。", []),
)


@pytest.fixture
def command() -> Command:
    app = typer.Typer(cls=EdgeGroup)
    group = typer.Typer()
    train_classifier.add_to(group)
    group.callback()(lambda: None)
    app.add_typer(group, name="train")
    evaluate.add_to(app)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)

    return run


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("records") / "cases.jsonl"
    lines = [
        json.dumps({"text": text.format(number), "labels": labels}, ensure_ascii=False)
        for number in range(40)
        for text, labels in SENTENCES
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_classifier_is_trained_and_measured(command: Command, records: Path, tmp_path: Path) -> None:
    model = tmp_path / "cases"
    trained = command("train", "classifier", records, "--dev", records, "--to", model, "--format", "json")
    assert trained.exit_code == 0
    made = json.loads(trained.stdout)
    assert made["dev"]["micro_f1"] > 90
    assert {"training_report.md", "training_report.svg", "config.json"} <= {path.name for path in model.iterdir()}
    measured = command("evaluate", model, records, "--train", records, "--format", "json")
    figures = json.loads(measured.stdout)
    assert figures["model"]["micro_f1"] == pytest.approx(made["dev"]["micro_f1"], abs=0.01)
    assert figures["baseline"]["micro_f1"] > 90
    assert [row["label"] for row in figures["labels"]] == ["工资", "离婚"]
    table = command("evaluate", model, records)
    assert "macro_f1_occurring" in table.stdout
    rows = command("evaluate", model, records, "--format", "csv").stdout.splitlines()
    assert rows[0] == "label,texts,decided,precision,recall,f1"
    assert len(rows) == 3


def test_bad_lines_are_wrong_usage(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"text": 1}\n', encoding="utf-8")
    result = command("train", "classifier", path, "--to", tmp_path / "model")
    assert result.exit_code == 2
    assert "bad.jsonl: line 1: no object with a `text`" in result.stderr


@pytest.mark.parametrize(("lines", "reason"), [(1, "one record"), (2, "no text has a label")])
def test_what_cannot_be_learned_from_is_wrong_usage(lines: int, reason: str, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    path.write_text('{"text": "本院认为。", "labels": []}\n' * lines, encoding="utf-8")
    result = command("train", "classifier", path, "--to", tmp_path / "model")
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_directory_that_is_no_model_cannot_be_measured(command: Command, records: Path, tmp_path: Path) -> None:
    result = command("evaluate", tmp_path, records)
    assert result.exit_code == 2
    assert str(tmp_path) in result.stderr


def test_a_checkpoint_that_is_none_is_wrong_usage(command: Command, records: Path, tmp_path: Path) -> None:
    result = command("train", "classifier", records, "--to", tmp_path / "model", "--checkpoint", tmp_path)
    assert result.exit_code == 2


def test_a_label_set_with_parents_makes_parents_follow_their_children(
    command: Command, records: Path, tmp_path: Path
) -> None:
    label_set = tmp_path / "labels.json"
    labels = [{"name": "案件"}, {"name": "离婚", "parent": "案件"}, {"name": "工资", "parent": "案件"}]
    label_set.write_text(json.dumps({"name": "cases", "version": "2", "labels": labels}), encoding="utf-8")
    given = ("train", "classifier", records, "--dev", records, "--to", tmp_path / "m", "--labels", label_set)
    assert command(*given).exit_code == 0
    from tasks.classify.backends import load_classifier  # noqa: PLC0415 - slow
    from tasks.nn.offline import run_all  # noqa: PLC0415

    backend = load_classifier(tmp_path / "m", "cpu", torch.float32)
    (scores,) = run_all(backend, ["双方离婚后被告拖欠工资，见第5页。"])
    assert not isinstance(scores, UnfitTextError)
    assert scores[0] >= max(scores[1], scores[2]) > 0
    assert (backend.label_set.name, backend.label_set.version) == ("cases", "2")


def test_a_label_set_that_lacks_a_label_of_the_texts_is_refused(
    command: Command, records: Path, tmp_path: Path
) -> None:
    label_set = tmp_path / "labels.json"
    label_set.write_text(json.dumps({"name": "cases", "version": "1", "labels": [{"name": "离婚"}]}), encoding="utf-8")
    refused = command("train", "classifier", records, "--to", tmp_path / "m", "--labels", label_set)
    assert refused.exit_code == 2
    assert "lacks labels that texts have: 工资" in refused.stderr
