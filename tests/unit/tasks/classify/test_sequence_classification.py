"""A classifier checkpoint labels as it is: every label above 0, or the one best of many; the batch changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.availability import need_module

need_module("transformers")

from tasks.classify.sequence_classification_backend import open_sequence_classification
from tasks.classify.token_classifier import TokenClassifier, margins
from tasks.nn.backend import UnfitTextError
from tasks.nn.model_directory import ModelDirectoryError
from tasks.nn.offline import run_all
from tests.support import tiny_checkpoints as tiny

LABELS = {0: "体育", 1: "财经", 2: "科技", 3: "教育"}
MULTI = {"problem_type": "multi_label_classification", "num_labels": 4, "id2label": LABELS}
SINGLE = {"num_labels": 4, "id2label": LABELS}


@pytest.fixture(autouse=True)
def network_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.only_loopback(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the directory of a classifier for several labels, or for one; made once."""
    home = tmp_path_factory.mktemp("checkpoints")
    for name, settings in (("several", MULTI), ("one", SINGLE)):
        tiny.make_bert(home / name, "BertForSequenceClassification", **settings)
    return lambda name: home / name


def opened(directory: Path) -> TokenClassifier:
    return open_sequence_classification(directory, "cpu", torch.float32)


def scores_of(backend: TokenClassifier, texts: list[str], token_budget: int = 8192) -> Any:
    results = run_all(backend, texts, token_budget)
    return np.stack([result for result in results if not isinstance(result, UnfitTextError)])


@pytest.mark.parametrize("name", ["several", "one"])
def test_any_batch_and_any_order_give_the_same_scores(name: str, made: Callable[[str], Path]) -> None:
    backend = opened(made(name))
    texts = tiny.texts(30)
    alone = np.stack([scores_of(backend, [text])[0] for text in texts])
    assert np.abs(scores_of(backend, texts) - alone).max() < 1e-5
    assert np.abs(scores_of(backend, texts[::-1], 300)[::-1] - alone).max() < 1e-5
    assert np.abs(alone - alone[0]).max() > 0.01


def test_scores_are_those_of_the_library(made: Callable[[str], Path]) -> None:
    from transformers import AutoModelForSequenceClassification, BertTokenizer  # noqa: PLC0415 - takes seconds

    network: Any = AutoModelForSequenceClassification.from_pretrained(made("several")).eval()
    tokenizer = BertTokenizer.from_pretrained(made("several"))
    expected = network(**tokenizer(tiny.TEXTS[0], return_tensors="pt")).logits.detach().numpy()
    assert np.abs(scores_of(opened(made("several")), [tiny.TEXTS[0]]) - expected).max() < 1e-5


def test_of_several_labels_all_above_zero_are_decided(made: Callable[[str], Path]) -> None:
    backend = opened(made("several"))
    scores = np.array([0.5, -0.1, 2.0, 0.0], dtype=np.float32)
    assert [position for position, _ in backend.decide(scores)] == [0, 2]
    assert backend.decide(scores)[0][1] == pytest.approx(1 / (1 + np.exp(-0.5)))


def test_of_one_label_the_greatest_is_decided(made: Callable[[str], Path]) -> None:
    backend, plain = opened(made("one")), opened(made("several"))
    texts = tiny.texts(12)
    for margin, logits in zip(scores_of(backend, texts), scores_of(plain, texts), strict=True):
        # The weights of both are the same; only what the configuration says differs.
        assert [position for position, _ in backend.decide(margin)] == [int(logits.argmax())]


def test_a_margin_is_the_distance_to_the_greatest_other() -> None:
    logits = torch.tensor([[2.0, 5.0, 1.0], [4.0, 4.0, 0.0]])
    assert margins(logits).tolist() == [[-3.0, 3.0, -4.0], [0.0, 0.0, -4.0]]


def test_labels_have_the_names_and_the_order_of_the_checkpoint(made: Callable[[str], Path]) -> None:
    backend = opened(made("several"))
    assert [label.name for label in backend.label_set.labels] == list(LABELS.values())
    assert backend.label_set.name == "several"


@pytest.mark.parametrize("text", ["", "  \n\u3000"])
def test_an_empty_text_is_unfit(text: str, made: Callable[[str], Path]) -> None:
    (result,) = run_all(opened(made("several")), [text])
    assert isinstance(result, UnfitTextError)
    assert result.reason == "empty_text"


@pytest.mark.parametrize("text", ["京" * 1_000_000, "a" * 100_000, "😀" * 300, "only Latin words here", "\u200b"])
def test_odd_texts_have_scores_from_one_bounded_window(text: str, made: Callable[[str], Path]) -> None:
    backend = opened(made("several"))
    (window,) = backend.windows(text)
    assert window.length <= 128
    assert np.isfinite(scores_of(backend, [text])).all()


def test_a_missing_head_is_refused(tmp_path: Path) -> None:
    directory = tiny.make_bert(tmp_path / "bert", "BertForMaskedLM")
    with pytest.raises(ModelDirectoryError, match=r"the weights lack .*classifier.*train it first"):
        opened(directory)


@pytest.mark.parametrize("settings", [{"num_labels": 1}, {"num_labels": 2, "problem_type": "regression"}])
def test_a_regression_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    directory = tiny.make_bert(tmp_path / "bert", "BertForSequenceClassification", **settings)
    with pytest.raises(ModelDirectoryError, match="is a regression"):
        opened(directory)


def test_names_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    directory = tiny.make_bert(tmp_path / "bert", "BertForSequenceClassification", **MULTI)
    tiny.edit_config(directory, id2label={"0": "体育", "1": "体育", "2": "科技", "3": "教育"})
    with pytest.raises(ModelDirectoryError, match="does not name 4 different labels"):
        opened(directory)


def test_another_number_of_labels_than_the_weights_have_is_refused(tmp_path: Path) -> None:
    directory = tiny.make_bert(tmp_path / "bert", "BertForSequenceClassification", **MULTI)
    tiny.edit_config(directory, id2label={"0": "体育", "1": "财经", "2": "科技"})
    with pytest.raises(ModelDirectoryError, match="do not have the sizes"):
        opened(directory)
