"""The title model that comes along, and the program that makes it."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tasks.nn.model_directory import open_model
from tasks.nn.offline import run_all
from tasks.summarize.evaluate import evaluate_summarizer
from tasks.summarize.operation import DEFAULT_TITLE
from tasks.summarize.span_backend import BACKEND, SpanBackend, open_span
from tasks.summarize.summary import Summary
from tasks.summarize.train_default import main
from tasks.summarize.training_data import read_pairs
from tests.support.availability import REPOSITORY

ABSTRACT = (
    "软件成本估算是软件开发过程中一项非常重要的活动,但现有的方法在准确估算软件成本方面还存在不足。"
    "针对软件成本估算不够准确的现状,提出了一种基于蚁群算法的软件成本估算模型。"
    "该模型采用样本聚类的方法确定节点数,并对权值进行优化。实验证明,该模型能够准确有效地估算软件成本。"
)
TITLE = "基于蚁群算法的软件成本估算模型"
#: What a model that comes with the package may take.
MAX_BYTES = 6_000_000


@pytest.fixture(scope="module")
def default() -> SpanBackend:
    return open_span(open_model(DEFAULT_TITLE), "cpu", torch.float32, "title", None)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def title(backend: SpanBackend, text: str) -> Summary:
    (result,) = run_all(backend, [text])
    assert isinstance(result, Summary)
    return result


def test_it_finds_the_title_of_an_abstract(default: SpanBackend) -> None:
    found = title(default, ABSTRACT)
    assert found.text == TITLE
    assert found.spans == ((ABSTRACT.index(TITLE), ABSTRACT.index(TITLE) + len(TITLE)),)


def test_it_copies_a_term_that_nobody_has_seen(default: SpanBackend) -> None:
    assert "ＱＺＸ算法" in title(default, ABSTRACT.replace("蚁群算法", "ＱＺＸ算法")).text


def test_without_the_clause_it_finds_another_title(default: SpanBackend) -> None:
    assert title(default, ABSTRACT.replace(TITLE, "")).text != TITLE


def test_an_altered_tensor_changes_titles(default: SpanBackend) -> None:
    altered = open_span(open_model(DEFAULT_TITLE), "cpu", torch.float32, "title", None)
    with torch.no_grad():
        weight = altered._network.get_parameter("towers.0.scores.weight")
        weight.neg_()
    assert title(altered, ABSTRACT).text != title(default, ABSTRACT).text


def test_it_is_small_and_its_card_has_the_figures_that_were_measured() -> None:
    assert (DEFAULT_TITLE / "model.safetensors").stat().st_size <= MAX_BYTES
    model = open_model(DEFAULT_TITLE)
    system = model.metrics["evaluation"]["system"]
    row = f"| this model | {system['rouge_1']:.1f} | {system['rouge_2']:.1f} | {system['rouge_l']:.1f} |"
    assert row in (DEFAULT_TITLE / "README.md").read_text(encoding="utf-8")
    assert model.config.backend == BACKEND


def test_the_figures_of_the_card_come_out_again(default: SpanBackend, test_data: Path | None) -> None:
    sample = REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.jsonl.gz"
    path = sample if test_data is None else test_data / "csl_titles" / "dev.jsonl.gz"
    found = evaluate_summarizer(default, read_pairs(path, "title"), length="title").as_dict()
    # More than the two that need no model, on any papers.
    assert all(found["over"][rival]["mean"] >= 5 for rival in ("lead", "textrank"))
    if test_data is not None:
        stated = open_model(DEFAULT_TITLE).metrics["evaluation"]["system"]
        for score in ("rouge_1", "rouge_2", "rouge_l"):
            assert found["system"][score] == pytest.approx(stated[score], abs=0.3)


def write_lines(path: Path, records: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as lines:
        lines.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def test_the_program_writes_a_model_with_its_card(tmp_path: Path) -> None:
    dice = random.Random(1)
    things = ["蚁群算法", "神经网络", "粗糙集", "小波变换", "决策树"]
    records = []
    for _ in range(48):
        new = TITLE.replace("蚁群算法", dice.choice(things))
        records.append({"text": ABSTRACT.replace(TITLE, new), "title": new})
    write_lines(tmp_path / "data/csl_titles/train.jsonl.gz", records[:24])
    write_lines(tmp_path / "data/csl/train.jsonl.gz", records[24:40])
    write_lines(tmp_path / "data/csl_titles/dev.jsonl.gz", records[40:])
    write_lines(tmp_path / "data/csl/titles_train.jsonl.gz", [{"text": record["title"]} for record in records])
    assert main([str(tmp_path / "data"), str(tmp_path / "made"), "--seed", "3"]) == 0
    model = open_model(tmp_path / "made")
    assert model.metrics["evaluation"]["documents"] == 8
    card = (tmp_path / "made/README.md").read_text(encoding="utf-8")
    assert "--seed 3" in card
    assert "| textrank |" in card
    assert not (tmp_path / "made/training").exists()
