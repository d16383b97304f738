"""Texts in which words in the midst of others decide the labels, and a classifier that was trained on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tasks.classify.train import TrainedClassifier, train_classifier
from tasks.classify.training_batches import TrainOptions
from tasks.classify.training_data import LabelledTexts

SIGNS = {"合同": ("违约金", "签订合同"), "离婚": ("准予离婚", "婚姻关系"), "工资": ("拖欠工资", "劳动报酬")}
FILLING = ("本院认为", "原告诉称", "经审理查明", "被告辩称", "双方当事人到庭", "上述事实清楚")
SMALL = TrainOptions(channels=16, epochs=4, batch_texts=16, learning_rate=1e-2, n_gram_at_least=2)


def examples(count: int, seed: int) -> LabelledTexts:
    """Return texts with none to three labels."""
    choice = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        parts = [str(part) for part in choice.choice(FILLING, size=int(choice.integers(1, 5)))]
        names = [name for name in SIGNS if choice.random() < 0.35]
        for name in names:
            parts.insert(int(choice.integers(0, len(parts) + 1)), str(choice.choice(SIGNS[name])))
        texts.append("，".join(parts) + "。")
        labels.append(names)
    return LabelledTexts(texts, labels)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> TrainedClassifier:
    """Return a small classifier."""
    directory: Path = tmp_path_factory.mktemp("models") / "cases"
    return train_classifier(examples(300, 0), examples(80, 1), directory, SMALL)
