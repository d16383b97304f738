from __future__ import annotations

import numpy as np
import pytest

from tasks.classify.evaluate import decision_figures, evaluate_classifier, label_table, ranking_figures
from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.text_cnn_backend import open_text_cnn
from tasks.classify.train import TrainedClassifier
from tasks.classify.training_data import LabelledTexts

from .conftest import examples


def test_a_classifier_is_measured_beside_the_baseline(trained: TrainedClassifier) -> None:
    found = evaluate_classifier(open_text_cnn(trained.model.path), examples(80, 1), train=examples(300, 0))
    assert found.figures["model"]["micro_f1"] == pytest.approx(trained.metrics["dev"]["micro_f1"], abs=0.01)
    assert found.figures["model"]["macro_f1"] == pytest.approx(trained.metrics["dev"]["macro_f1"], abs=0.01)
    assert found.figures["baseline"]["micro_f1"] > 90
    assert found.figures["failed"] == 0
    assert [row["label"] for row in found.labels] == ["合同", "工资", "离婚"]
    assert sum(row["texts"] for row in found.labels) == sum(len(names) for names in examples(80, 1).labels)


def test_the_baseline_is_fitted_on_what_is_given(trained: TrainedClassifier) -> None:
    backend = open_text_cnn(trained.model.path)
    train = examples(300, 0)
    shuffled = LabelledTexts(train.texts, [train.labels[(place + 7) % 300] for place in range(300)])
    assert evaluate_classifier(backend, examples(80, 1), train=shuffled).figures["baseline"]["micro_f1"] < 70
    assert "baseline" not in evaluate_classifier(backend, examples(80, 1)).figures


def test_empty_texts_and_unknown_labels_are_told(trained: TrainedClassifier) -> None:
    data = LabelledTexts([" ", "准予离婚"], [["离婚"], ["离婚", "遗产"]])
    figures = evaluate_classifier(open_text_cnn(trained.model.path), data).figures
    assert figures["failed"] == 1
    assert figures["unknown_labels"] == ["遗产"]
    assert figures["model"]["micro_f1"] == pytest.approx(66.67)


def test_quick_figures_are_those_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    decided, targets = generator.random((60, 9)) < 0.3, (generator.random((60, 9)) < 0.2).astype(np.float32)
    targets[:, 8] = decided[:, 8] = 0
    figures = decision_figures(decided, targets)
    assert micro_and_macro_f1(decided, targets) == pytest.approx((figures["micro_f1"], figures["macro_f1"]), abs=0.006)
    assert figures["macro_f1_occurring"] == pytest.approx(figures["macro_f1"] * 9 / 8, abs=0.01)


def test_ranks_are_told_of_texts_with_labels_only() -> None:
    scores = np.array([[3, 2, 1, 0, -1], [0, 1, 2, 3, 4], [9, 9, 9, 9, 9]], dtype=np.float32)
    targets = np.array([[1, 0, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], dtype=np.float32)
    figures = ranking_figures(scores, targets)
    assert figures["precision_at_1"] == 50.0
    assert figures["precision_at_3"] == pytest.approx(100 * (2 / 3 + 0) / 2, abs=0.01)
    assert figures["lrap"] == pytest.approx(100 * ((1 + 2 / 3) / 2 + 1 / 5) / 2, abs=0.01)
    assert ranking_figures(scores, np.zeros_like(targets)) == {}


def test_the_table_counts_by_label() -> None:
    decided = np.array([[1, 0], [1, 0], [0, 0]], dtype=np.bool_)
    targets = np.array([[1, 0], [0, 1], [0, 0]], dtype=np.float32)
    assert label_table(decided, targets, ["甲", "乙"]) == [
        {"label": "甲", "texts": 1, "decided": 2, "precision": 50.0, "recall": 100.0, "f1": 66.67},
        {"label": "乙", "texts": 1, "decided": 0, "precision": 0.0, "recall": 0.0, "f1": 0.0},
    ]
