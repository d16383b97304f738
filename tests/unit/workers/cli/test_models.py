"""`hanmill models`: directories are checked before they have a name, and one of each kind is the default."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tests.support.availability import need_module
from workers.cli import model_directories, models
from workers.cli.edge import EdgeGroup

need_module("torch")
need_module("safetensors")

from tasks.nn.model_directory import ModelConfig, write_model

Invoke = Callable[..., Result]
Make = Callable[..., Path]


@pytest.fixture
def invoke() -> Invoke:
    app = typer.Typer(cls=EdgeGroup)
    models.add_to(app)

    def run(*arguments: object) -> Result:
        given = ["models", *(str(argument) for argument in arguments)]
        return CliRunner().invoke(app, given, catch_exceptions=False)

    return run


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes a small model and gives its directory."""
    import torch  # noqa: PLC0415 - slow

    def write(name: str, weight: float = 1.0, kind: str = "classifier", version: str = "1") -> Path:
        config = ModelConfig(kind, "text_cnn" if kind == "classifier" else "span", name, version, {"channels": 1})
        tensors = {"weight": torch.full((2,), weight)}
        write_model(tmp_path / name, config, tensors, {"vocab.txt": "甲\n".encode()}, {"micro_f1": 0.8})
        return tmp_path / name

    return write


@pytest.fixture
def builtin(make: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the program come with one classifier, and nothing else."""
    directory = make("builtin/default")

    def directories(kind: str) -> list[Path]:
        return [directory] if kind == "classifier" else []

    monkeypatch.setattr(models, "builtin_directories", directories)
    monkeypatch.setattr(model_directories, "builtin_directories", directories)
    return directory


def listed(invoke: Invoke) -> list[dict[str, Any]]:
    shown = invoke("--format", "json")
    assert shown.exit_code == 0, shown.stderr
    return list(json.loads(shown.stdout))


def defaults(invoke: Invoke) -> set[tuple[str, str]]:
    return {(row["kind"], row["name"]) for row in listed(invoke) if row["is_default"]}


def test_what_comes_with_the_program_is_listed_before_anything_was_run(builtin: Path, invoke: Invoke) -> None:
    (row,) = listed(invoke)
    assert (row["name"], row["path"], row["is_default"]) == ("default", "builtin:default", True)
    assert (row["metrics"], row["created_at"], len(row["digest"])) == ({"micro_f1": 0.8}, None, 64)


def test_a_model_that_comes_with_the_program_but_is_damaged_is_told_of(builtin: Path, invoke: Invoke) -> None:
    (builtin / "vocab.txt").write_text("乙\n", encoding="utf-8")
    shown = invoke("list", "--format", "json")
    assert (shown.exit_code, json.loads(shown.stdout)) == (0, [])
    assert "altered" in shown.stderr


def test_an_added_model_is_listed_with_what_was_measured(builtin: Path, invoke: Invoke, make: Make) -> None:
    directory = make("新闻")
    assert invoke("add", directory).exit_code == 0
    row = listed(invoke)[1]
    assert (row["kind"], row["name"], row["version"], row["backend"]) == ("classifier", "新闻", "1", "text_cnn")
    assert (row["path"], row["is_default"], row["metrics"]) == (str(directory), False, {"micro_f1": 0.8})
    assert row["created_at"][10] == "T"
    table = invoke().stdout
    assert "新闻" in table
    assert row["digest"][:12] in table
    _, added = csv.DictReader(io.StringIO(invoke("--format", "csv").stdout))
    assert json.loads(added["metrics"]) == {"micro_f1": 0.8}


def test_a_relative_directory_is_kept_by_its_whole_path(
    invoke: Invoke, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make("新闻")
    monkeypatch.chdir(tmp_path)
    assert invoke("add", "新闻", "--name", "别名").exit_code == 0
    assert [row["path"] for row in listed(invoke) if row["name"] == "别名"] == [str(tmp_path / "新闻")]


def test_a_model_that_was_trained_again_takes_the_name_and_stays_the_default(invoke: Invoke, make: Make) -> None:
    invoke("add", make("新闻"), "--default")
    before = [row for row in listed(invoke) if row["name"] == "新闻"]
    assert invoke("add", make("新闻", weight=2.0, version="2")).exit_code == 0
    after = [row for row in listed(invoke) if row["name"] == "新闻"]
    assert (len(after), after[0]["version"], after[0]["is_default"]) == (1, "2", True)
    assert after[0]["digest"] != before[0]["digest"]


def test_the_default_is_the_program_s_own_until_another_is_chosen_and_again_after(
    builtin: Path, invoke: Invoke, make: Make
) -> None:
    invoke("add", make("新闻"))
    invoke("add", make("标题", kind="summarizer"), "--default")
    assert defaults(invoke) == {("classifier", "default"), ("summarizer", "标题")}
    assert invoke("default", "新闻").exit_code == 0
    assert defaults(invoke) == {("classifier", "新闻"), ("summarizer", "标题")}
    assert invoke("default", "default").exit_code == 0
    assert defaults(invoke) == {("classifier", "default"), ("summarizer", "标题")}


def test_a_name_of_both_kinds_needs_the_kind(invoke: Invoke, make: Make) -> None:
    invoke("add", make("新闻"))
    invoke("add", make("新闻标题", kind="summarizer"), "--name", "新闻")
    shown = invoke("default", "新闻")
    assert (shown.exit_code, "--kind classifier or --kind summarizer" in shown.stderr) == (2, True)
    assert invoke("default", "新闻", "--kind", "summarizer").exit_code == 0
    assert ("summarizer", "新闻") in defaults(invoke)


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("default", "无"), "there is no model '无'"),
        (("default", "无", "--kind", "summarizer"), "there is no summarizer '无'"),
        (("default", "无", "--kind", "tagger"), "classifier, summarizer, not 'tagger'"),
        (("add", "nowhere"), "is not there"),
    ],
)
def test_what_is_not_there_is_wrong_usage(arguments: tuple[str, ...], reason: str, invoke: Invoke) -> None:
    shown = invoke(*arguments)
    assert shown.exit_code == 2
    assert reason in shown.stderr


def test_the_name_of_the_program_s_own_model_is_not_given_away(invoke: Invoke, make: Make) -> None:
    shown = invoke("add", make("新闻", kind="summarizer"), "--name", "default")
    assert shown.exit_code == 2
    assert "give another with --name" in shown.stderr


@pytest.mark.parametrize(
    ("file", "content", "reason"),
    [
        ("model.safetensors", b"\x80\x04pickled", "altered"),
        ("vocab.txt", None, "missing"),
        ("config.json", None, "has no config.json"),
        ("config.json", b'{"hanmill_model": 2}', "this version reads 1"),
    ],
)
def test_a_directory_that_is_not_whole_is_refused_with_the_reason(
    file: str, content: bytes | None, reason: str, invoke: Invoke, make: Make
) -> None:
    directory = make("新闻")
    (directory / file).unlink()
    if content is not None:
        (directory / file).write_bytes(content)
    shown = invoke("add", directory)
    assert shown.exit_code == 2
    assert reason in shown.stderr
    assert [row["name"] for row in listed(invoke) if row["name"] == "新闻"] == []
