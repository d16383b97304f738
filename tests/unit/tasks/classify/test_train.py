from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tasks.classify.blending import choose_blend, choose_scale
from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.label_set import Label, LabelSet
from tasks.classify.text_cnn_backend import open_text_cnn, probability
from tasks.classify.train import Reporting, TrainedClassifier, train_classifier
from tasks.classify.training_batches import TrainOptions
from tasks.classify.training_data import LabelledTexts, read_labelled
from tasks.classify.training_report import FIGURES, PAGE, PLOT, write_report
from tasks.nn.fit import Epoch
from tasks.nn.offline import run_all

from .conftest import SMALL, examples

#: Of the real sentences that the control reads.
SENTENCES = 2500


class KilledError(Exception):
    """Ends a training in its midst."""


def test_labels_are_learned(trained: TrainedClassifier) -> None:
    assert trained.metrics["dev"]["micro_f1"] > 97
    assert trained.metrics["dev"]["macro_f1"] > 97


def test_equal_seeds_give_equal_models_and_others_do_not(trained: TrainedClassifier, tmp_path: Path) -> None:
    again = train_classifier(examples(300, 0), examples(80, 1), tmp_path / "cases", SMALL)
    other = train_classifier(examples(300, 0), examples(80, 1), tmp_path / "other" / "cases", replace(SMALL, seed=1))
    assert again.model.digest == trained.model.digest
    assert other.model.digest != trained.model.digest


@pytest.mark.parametrize("killed_in", [1, 3])
def test_a_killed_training_ends_with_the_same_model(killed_in: int, trained: TrainedClassifier, tmp_path: Path) -> None:
    def kill(epoch: Epoch) -> None:
        if epoch.number == killed_in:
            raise KilledError

    seen: list[int] = []
    parts = examples(300, 0), examples(80, 1)
    with pytest.raises(KilledError):
        train_classifier(*parts, tmp_path / "cases", SMALL, Reporting(on_epoch=kill))
    reporting = Reporting(on_epoch=lambda epoch: seen.append(epoch.number))
    resumed = train_classifier(*parts, tmp_path / "cases", SMALL, reporting)
    assert seen == list(range(killed_in + 1, 5))
    assert resumed.model.digest == trained.model.digest


def test_both_losses_train_the_same_network(trained: TrainedClassifier, tmp_path: Path) -> None:
    made = train_classifier(examples(300, 0), examples(80, 1), tmp_path / "cases", replace(SMALL, loss="bce"))
    assert made.metrics["loss"] == "bce"
    assert made.metrics["dev"]["micro_f1"] > 90
    assert made.model.digest != trained.model.digest


def test_parents_follow_their_children(tmp_path: Path) -> None:
    names = LabelSet("案件", "2", (Label("合同", 3), Label("离婚"), Label("工资", 3), Label("财产")))
    made = train_classifier(examples(200, 0), examples(60, 1), tmp_path / "tree", SMALL, label_set=names)
    scores = np.stack(run_all(open_text_cnn(made.model.path), examples(60, 2).texts))  # type: ignore[arg-type]
    assert (scores[:, 3] >= scores[:, 0]).all()
    assert (scores[:, 3] >= scores[:, 2]).all()
    assert micro_and_macro_f1(scores > 0, names.targets(examples(60, 2).labels))[0] > 90


@pytest.mark.slow
def test_shuffled_labels_are_not_learned(test_data: Path | None, tmp_path: Path) -> None:
    if test_data is None:
        data, dev = examples(400, 0), examples(100, 1)
        limit = 60.0
    else:
        data, dev = (read_labelled(test_data / "case_elements" / f"{part}.jsonl.gz") for part in ("train", "dev"))
        limit = 10.0
    order = np.random.default_rng(0).permutation(len(data))[:SENTENCES]
    texts = [data.texts[place] for place in sorted(order)]
    shuffled = LabelledTexts(texts, [data.labels[place] for place in order])
    made = train_classifier(shuffled, dev, tmp_path / "control", TrainOptions(channels=32, epochs=2))
    scores = np.stack(run_all(open_text_cnn(made.model.path), dev.texts))  # type: ignore[arg-type]
    targets = open_text_cnn(made.model.path).label_set.targets(dev.labels)
    assert micro_and_macro_f1(scores > 0, targets)[0] <= limit


def test_the_blend_takes_the_part_that_is_right() -> None:
    generator = np.random.default_rng(0)
    targets = (generator.random((200, 4)) < 0.3).astype(np.float32)
    right = (targets * 2 - 1).astype(np.float32)
    noise = generator.normal(size=(200, 4)).astype(np.float32)
    assert choose_blend(right, noise, targets).weight == 0.0
    blend = choose_blend(noise, right, targets)
    assert micro_and_macro_f1(noise + blend.weight * right + blend.shift > 0, targets)[0] > 95


def test_the_scale_makes_probabilities_that_come_true() -> None:
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(20_000, 1)).astype(np.float32)
    targets = (generator.random((20_000, 1)) < probability(logits, 2.0)).astype(np.float32)
    assert choose_scale(logits, targets) == pytest.approx(2.0, rel=0.1)


def test_the_report_shows_every_epoch(trained: TrainedClassifier, tmp_path: Path) -> None:
    write_report(tmp_path, "案件", trained.report, trained.metrics)
    drawing = (tmp_path / PLOT).read_text(encoding="utf-8")
    assert drawing.count("<circle") == 2 * len(trained.report.epochs)
    page = (tmp_path / PAGE).read_text(encoding="utf-8")
    assert f"| {trained.report.best_epoch} (kept) |" in page
    assert '"best_epoch"' in (tmp_path / FIGURES).read_text(encoding="utf-8")
