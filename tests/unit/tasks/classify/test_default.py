from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tasks.classify.evaluate import evaluate_classifier
from tasks.classify.operation import DEFAULT
from tasks.classify.text_cnn_backend import TextCnnBackend, open_text_cnn
from tasks.classify.training_data import LabelledTexts
from tasks.nn.offline import run_all
from tests.support.availability import REPOSITORY

SAMPLE = REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.jsonl.gz"
LARGEST_BYTES = 6_000_000


@pytest.fixture(scope="module")
def backend() -> TextCnnBackend:
    return open_text_cnn(DEFAULT)


def test_the_model_that_comes_along_is_small_and_whole(backend: TextCnnBackend) -> None:
    assert (DEFAULT / "model.safetensors").stat().st_size <= LARGEST_BYTES
    assert len(backend.label_set.labels) == 13
    assert all(name in (DEFAULT / "README.md").read_text(encoding="utf-8") for name in backend.label_set.names)


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("目的 观察中药配方治疗过敏性紫癜的疗效,方法 将患者随机分为两组,对照组予常规西医治疗.", "医学"),
        ("论刑事诉讼中非法证据排除规则的完善", "法学"),
        ("水稻品种对稻瘟病的抗性鉴定与评价", "农学"),
        ("基于卷积神经网络的滚动轴承故障诊断方法", "工学"),
    ],
)
def test_a_paper_gets_its_category(text: str, category: str, backend: TextCnnBackend) -> None:
    (scores,) = run_all(backend, [text])
    decided = backend.decide(scores)  # type: ignore[arg-type]
    assert [backend.label_set.names[position] for position, _ in decided] == [category]
    assert 0.5 < decided[0][1] <= 1.0


def _agreement_of_titles_and_abstracts(backend: TextCnnBackend) -> float:
    """Return the micro F1 of the sample's abstracts where what is decided for their titles is taken for right."""
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as stream:
        papers = [json.loads(line) for line in stream]
    names = backend.label_set.names
    decided = [backend.decide(scores) for scores in run_all(backend, [paper["title"] for paper in papers])]  # type: ignore[arg-type]
    labels = [[names[position] for position, _ in one] for one in decided]
    figures = evaluate_classifier(backend, LabelledTexts([paper["text"] for paper in papers], labels)).figures
    return float(figures["model"]["micro_f1"])


@pytest.mark.parametrize(("kind", "field"), [("abstracts", "text"), ("titles", "title")])
def test_the_figures_of_the_card_are_measured_again(
    kind: str, field: str, backend: TextCnnBackend, test_data: Path | None
) -> None:
    if test_data is None:
        assert _agreement_of_titles_and_abstracts(backend) > 50
        return
    with gzip.open(test_data / "csl" / "dev.jsonl.gz", "rt", encoding="utf-8") as stream:
        papers = [json.loads(line) for line in stream]
    data = LabelledTexts([paper[field] for paper in papers], [[paper["category"]] for paper in papers])
    found = evaluate_classifier(backend, data).figures["model"]
    told = json.loads((DEFAULT / "metrics.json").read_text(encoding="utf-8"))[kind]["model"]
    assert found["micro_f1"] == pytest.approx(told["micro_f1"], abs=0.3)
    assert found["macro_f1"] == pytest.approx(told["macro_f1"], abs=0.3)
    card = (DEFAULT / "README.md").read_text(encoding="utf-8")
    assert f"| {kind} | {len(papers)} | {told['micro_f1']} | {told['macro_f1']} |" in card
