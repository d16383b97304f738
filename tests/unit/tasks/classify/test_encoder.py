"""An encoder learns labels, is saved with its tokenizer, comes back the same, and is taken up after a kill."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.availability import need_module

need_module("transformers")

from tasks.classify.backends import Classifier, load_classifier
from tasks.classify.encoder_backend import open_encoder, open_encoder_checkpoint, write_encoder
from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.label_set import Label, LabelSet
from tasks.classify.token_classifier import TokenClassifier
from tasks.classify.train import Reporting
from tasks.classify.train_encoder import (
    EncoderOptions,
    Part,
    batches_of,
    encode_part,
    fit_encoder,
    new_network,
    train_encoder,
)
from tasks.classify.training_data import LabelledTexts
from tasks.nn.checkpoints import Checkpoint
from tasks.nn.encoder_classifier import EncoderClassifier
from tasks.nn.fit import Epoch
from tasks.nn.model_directory import ModelConfig, ModelDirectoryError, open_model
from tasks.nn.offline import run_all
from tests.support import tiny_checkpoints as tiny

NAMES = ("合同", "方法")
LABELS = LabelSet("样例", "1", tuple(Label(name) for name in NAMES))
#: What makes a text belong to the first label, to the second, and to none.
SIGNS = (("法院认为被告违约", "原告要求支付利息"), ("研究人员提出方法", "用数据检验结果"))
FILLING = ("今天上午", "在北京", "公开", "比较", "说明", "中国的首都")
OPTIONS = EncoderOptions(epochs=6, learning_rate=5e-3, batch_texts=16, max_positions=48, seed=1, dropout=0.05)


@pytest.fixture(autouse=True)
def network_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.only_loopback(monkeypatch)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    """Return a BERT without a pooler, as masked language models are published."""
    path = tmp_path_factory.mktemp("checkpoints") / "bert"
    directory = tiny.make_bert(path, "BertForMaskedLM", initializer_range=0.1)
    return open_encoder_checkpoint(directory)


def examples(count: int, seed: int) -> tuple[list[str], Any]:
    """Return texts with none, one or both of two labels, which words in the midst of others decide."""
    choice = np.random.default_rng(seed)
    texts, targets = [], np.zeros((count, len(NAMES)), dtype=np.float32)
    for number in range(count):
        pieces = list(choice.choice(FILLING, size=int(choice.integers(1, 4))))
        for label, signs in enumerate(SIGNS):
            if choice.random() < 0.4:
                targets[number, label] = 1.0
                pieces.insert(int(choice.integers(0, len(pieces) + 1)), str(choice.choice(signs)))
        texts.append("，".join(pieces) + "。")
    return texts, targets


def part_of(checkpoint: Checkpoint, count: int, seed: int) -> Part:
    return encode_part(checkpoint, *examples(count, seed), OPTIONS.max_positions)


class KilledError(Exception):
    """Ends a training in its midst."""


def fitted(checkpoint: Checkpoint, train: Part, state_dir: Path, reporting: Reporting | None = None) -> Any:
    dev = part_of(checkpoint, 100, seed=9)
    return fit_encoder(checkpoint, train, dev, OPTIONS, state_dir, reporting or Reporting())


@pytest.fixture(scope="module")
def trained(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> tuple[EncoderClassifier, float]:
    network, report = fitted(checkpoint, part_of(checkpoint, 320, seed=0), tmp_path_factory.mktemp("state"))
    return network, report.best_figure


@pytest.fixture(scope="module")
def directory(
    trained: tuple[EncoderClassifier, float], checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    path = tmp_path_factory.mktemp("models") / "model"
    config = ModelConfig("classifier", "encoder", "样例", "1", {"max_positions": OPTIONS.max_positions, "scale": 1.0})
    write_encoder(path, trained[0], checkpoint, LABELS, config, {"micro_f1": trained[1]})
    return path


def opened(path: Path) -> TokenClassifier:
    return open_encoder(path, "cpu", torch.float32)


def scores_of(backend: Classifier, texts: Sequence[str]) -> Any:
    return np.stack(run_all(backend, texts))  # type: ignore[arg-type]


def test_an_encoder_learns_labels(trained: tuple[EncoderClassifier, float]) -> None:
    assert trained[1] > 95


@pytest.mark.parametrize("loss", ["zlpr", "bce"])
def test_a_checkpoint_becomes_a_model_with_parents_above_their_children(
    loss: str, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    # Whatever is of one of the two kinds is a document.
    label_set = LabelSet("样例", "1", (*(Label(name, parent=2) for name in NAMES), Label("文书")))
    parts = []
    for count, seed in ((320, 0), (80, 9)):
        texts, targets = examples(count, seed)
        parts.append(LabelledTexts(texts, [[NAMES[label] for label in np.flatnonzero(row)] for row in targets]))
    options = replace(OPTIONS, loss=loss)
    trained = train_encoder(parts[0], parts[1], checkpoint.path, tmp_path, options, label_set=label_set)
    backend = load_classifier(trained.model.path, "cpu", torch.float32)
    assert backend.scale == {"zlpr": 2.0, "bce": 1.0}[loss]
    assert backend.label_set == label_set
    scores = scores_of(backend, parts[1].texts)
    assert (scores[:, 2] >= scores[:, :2].max(1)).all()
    assert micro_and_macro_f1(scores, label_set.targets(parts[1].labels))[0] > 92
    # The figures of the card are those of the model that was saved.
    figures = [round(figure, 2) for figure in micro_and_macro_f1(scores, label_set.targets(parts[1].labels))]
    assert list(trained.metrics["dev"].values()) == figures
    assert not list(tmp_path.rglob("*.pt"))


def test_shuffled_labels_are_not_learned(checkpoint: Checkpoint, tmp_path: Path) -> None:
    train = part_of(checkpoint, 320, seed=0)
    order = np.random.default_rng(0).permutation(len(train.windows))
    _, report = fitted(checkpoint, Part(train.windows, train.targets[order]), tmp_path)
    assert report.best_figure < 70


def test_a_saved_model_comes_back_the_same(
    directory: Path, trained: tuple[EncoderClassifier, float], checkpoint: Checkpoint
) -> None:
    texts, targets = examples(40, seed=5)
    scores = scores_of(opened(directory), texts)
    part = encode_part(checkpoint, texts, targets, OPTIONS.max_positions)
    with torch.inference_mode():
        for window, row in zip(part.windows, scores, strict=True):
            ids = torch.tensor([window.ids])
            assert np.abs(trained[0](ids, torch.ones_like(ids)).numpy()[0] - row).max() < 1e-5
    assert micro_and_macro_f1(scores, targets)[0] > 90


def test_the_batch_changes_nothing(directory: Path) -> None:
    backend = opened(directory)
    texts = [*examples(20, seed=6)[0], "法院" * 400]
    alone = np.stack([scores_of(backend, [text])[0] for text in texts])
    assert np.abs(scores_of(backend, texts) - alone).max() < 1e-5
    assert np.abs(scores_of(backend, texts[::-1])[::-1] - alone).max() < 1e-5


def test_the_directory_holds_the_encoder_as_safetensors_with_its_vocabulary(directory: Path) -> None:
    names = {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}
    assert {"config.json", "labels.json", "metrics.json", "model.safetensors", "encoder/model.safetensors"} <= names
    assert (directory / "encoder" / "vocab.txt").read_text(encoding="utf-8").split("\n")[:2] == ["[PAD]", "[UNK]"]
    assert not [name for name in names if name.endswith((".bin", ".pt"))]
    files = json.loads((directory / "config.json").read_text(encoding="utf-8"))["files"]
    assert set(files) == names - {"config.json", "metrics.json"}
    assert opened(directory).digest == open_model(directory).digest


@pytest.mark.parametrize("name", ["encoder/model.safetensors", "encoder/vocab.txt", "labels.json", "model.safetensors"])
def test_a_missing_or_altered_file_is_refused(name: str, directory: Path) -> None:
    path = directory / name
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1] + b"!")
        with pytest.raises(ModelDirectoryError, match="altered"):
            opened(directory)
        path.unlink()
        with pytest.raises(ModelDirectoryError, match="missing"):
            opened(directory)
    finally:
        path.write_bytes(content)


def test_another_number_of_labels_is_refused(
    trained: tuple[EncoderClassifier, float], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    config = ModelConfig("classifier", "encoder", "样例", "1", {"max_positions": 48, "scale": 1.0})
    write_encoder(tmp_path, trained[0], checkpoint, LabelSet("样例", "2", (*LABELS.labels, Label("其他"))), config, {})
    with pytest.raises(ModelDirectoryError, match=r"not those of one layer from the encoder to labels\.json"):
        opened(tmp_path)


def test_a_flipped_tensor_changes_the_scores(directory: Path, checkpoint: Checkpoint, tmp_path: Path) -> None:
    texts, _ = examples(4, seed=7)
    network = new_network(checkpoint, part_of(checkpoint, 8, seed=0), OPTIONS).eval()
    config = ModelConfig("classifier", "encoder", "样例", "1", {"max_positions": 48, "scale": 1.0})
    before = write_encoder(tmp_path / "a", network, checkpoint, LABELS, config, {})
    with torch.no_grad():
        network.encoder.encoder.layer[1].output.dense.weight.neg_()
    after = write_encoder(tmp_path / "b", network, checkpoint, LABELS, config, {})
    assert before.digest != after.digest
    assert np.abs(scores_of(opened(tmp_path / "a"), texts) - scores_of(opened(tmp_path / "b"), texts)).max() > 1e-4


def test_a_killed_training_ends_like_an_uninterrupted_one(
    trained: tuple[EncoderClassifier, float], checkpoint: Checkpoint, tmp_path: Path
) -> None:
    train = part_of(checkpoint, 320, seed=0)
    seen: list[int] = []

    def kill_in_the_second(epoch: Epoch) -> None:
        seen.append(epoch.number)
        if epoch.number == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fitted(checkpoint, train, tmp_path, Reporting(on_epoch=kill_in_the_second))
    network, _ = fitted(checkpoint, train, tmp_path, Reporting(on_epoch=lambda epoch: seen.append(epoch.number)))
    assert seen[:3] == [1, 2, 3]
    for name, tensor in trained[0].state_dict().items():
        assert torch.equal(network.state_dict()[name], tensor), name


def test_the_same_seed_gives_the_same_network_and_another_does_not(checkpoint: Checkpoint) -> None:
    part = part_of(checkpoint, 8, seed=0)
    heads = [new_network(checkpoint, part, EncoderOptions(seed=seed)).head.weight for seed in (3, 3, 4)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


def test_every_text_is_in_one_batch_and_like_lengths_are_together(checkpoint: Checkpoint) -> None:
    windows = part_of(checkpoint, 103, seed=0).windows
    batches = list(batches_of(windows, 10, torch.Generator().manual_seed(0)))
    assert sorted(place for batch in batches for place in batch) == list(range(103))
    assert len(batches) == 11
    spans = [
        max(windows[place].length for place in batch) - min(windows[place].length for place in batch)
        for batch in batches
    ]
    assert np.mean(spans) < 6


def test_an_encoder_decoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelDirectoryError, match="a bart reads and writes"):
        open_encoder_checkpoint(tiny.make_bart(tmp_path / "bart"))
