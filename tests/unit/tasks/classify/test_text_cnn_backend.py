from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tasks.classify.backends import load_classifier
from tasks.classify.label_set import Scores
from tasks.classify.text_cnn_backend import TextCnnBackend, open_text_cnn
from tasks.classify.train import TrainedClassifier
from tasks.nn.backend import UnfitTextError
from tasks.nn.model_directory import ModelDirectoryError, file_sha256
from tasks.nn.offline import run_all

from .conftest import examples

TEXTS = [*examples(30, 5).texts, "准予离婚", "a", "😀😀", "0123456789", "工资" * 3000]


@pytest.fixture
def backend(trained: TrainedClassifier) -> TextCnnBackend:
    return open_text_cnn(trained.model.path)


def scores_of(backend: TextCnnBackend, texts: list[str], size: int) -> Scores:
    windows = [window for text in texts for window in backend.windows(text)]
    outputs = [row for start in range(0, len(windows), size) for row in backend.forward(windows[start : start + size])]
    return np.stack(outputs)


@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_batch_and_the_order_change_nothing(size: int, backend: TextCnnBackend) -> None:
    alone = scores_of(backend, TEXTS, 1)
    assert np.abs(scores_of(backend, TEXTS, size) - alone).max() < 1e-5
    order = np.random.default_rng(size).permutation(len(TEXTS))
    shuffled = scores_of(backend, [TEXTS[place] for place in order], size)
    assert np.abs(shuffled - alone[order]).max() < 1e-5


def test_swapped_texts_have_swapped_labels(backend: TextCnnBackend) -> None:
    texts = ["本院认为，准予离婚。", "原告诉称，拖欠工资。"]
    names = backend.label_set.names
    for order in (texts, texts[::-1]):
        decided = {
            text: [names[position] for position, _ in backend.decide(scores)]  # type: ignore[arg-type]
            for text, scores in zip(order, run_all(backend, order), strict=True)
        }
        assert decided == {texts[0]: ["离婚"], texts[1]: ["工资"]}


@pytest.mark.parametrize("text", ["", " ", "\n\t　\n"])
def test_a_text_without_a_sign_has_no_labels_to_get(text: str, backend: TextCnnBackend) -> None:
    with pytest.raises(UnfitTextError) as caught:
        backend.windows(text)
    assert caught.value.reason == "empty_text"


@pytest.mark.parametrize("text", ["😀" * 50, "the quick brown fox", "天" * 1_000_000, "x" * 100_000, "\x00\ufffd"])
def test_a_strange_text_has_finite_scores(text: str, backend: TextCnnBackend) -> None:
    windows = backend.windows(text)
    (scores,) = backend.forward(windows)
    assert np.isfinite(backend.result(text, windows, [scores])).all()


def test_probabilities_are_of_the_calibrated_scale(backend: TextCnnBackend) -> None:
    scores = np.array([-1.0, 0.5, 300.0], dtype=np.float32)
    decided = backend.decide(scores)
    assert [position for position, _ in decided] == [1, 2]
    assert decided[0][1] == pytest.approx(1 / (1 + np.exp(-backend.scale * 0.5)))
    assert decided[1][1] == pytest.approx(1.0)


def test_every_tensor_decides_results(trained: TrainedClassifier, tmp_path: Path) -> None:
    before = scores_of(open_text_cnn(trained.model.path), TEXTS, 8)
    for name in load_file(trained.model.path / "model.safetensors"):
        other = tmp_path / name
        shutil.copytree(trained.model.path, other)
        tensors = load_file(other / "model.safetensors")
        tensors[name] = tensors[name] + 0.5 * torch.sign(tensors[name] + 1e-9)
        save_file(tensors, other / "model.safetensors")
        with pytest.raises(ModelDirectoryError, match="altered"):
            open_text_cnn(other)
        record = json.loads((other / "config.json").read_text(encoding="utf-8"))
        record["files"]["model.safetensors"] = file_sha256(other / "model.safetensors")
        (other / "config.json").write_text(json.dumps(record), encoding="utf-8")
        changed = open_text_cnn(other)
        assert np.abs(scores_of(changed, TEXTS, 8) - before).max() > 1e-4, name
        assert changed.digest != trained.model.digest


@pytest.mark.parametrize("file", ["labels.json", "vocab.txt", "ngrams.txt"])
def test_files_that_do_not_fit_the_weights_are_refused(file: str, trained: TrainedClassifier, tmp_path: Path) -> None:
    other = tmp_path / "model"
    shutil.copytree(trained.model.path, other)
    if file == "labels.json":
        value = json.loads((other / file).read_text(encoding="utf-8"))
        value["labels"].append({"name": "其他"})
        (other / file).write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    else:
        (other / file).write_text((other / file).read_text(encoding="utf-8") + "多\n", encoding="utf-8")
    record = json.loads((other / "config.json").read_text(encoding="utf-8"))
    record["files"][file] = file_sha256(other / file)
    (other / "config.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ModelDirectoryError, match="are not those of the weights"):
        open_text_cnn(other)


def test_the_backend_is_found_by_its_name(trained: TrainedClassifier) -> None:
    loaded = load_classifier(trained.model.path, "cpu", torch.float32)
    assert isinstance(loaded, TextCnnBackend)
    assert loaded.digest == trained.model.digest


@pytest.mark.parametrize(
    ("key", "value", "reason"), [("backend", "later", "'later'"), ("kind", "summarizer", "is a summarizer")]
)
def test_another_kind_of_model_is_refused(
    key: str, value: str, reason: str, trained: TrainedClassifier, tmp_path: Path
) -> None:
    other = tmp_path / "model"
    shutil.copytree(trained.model.path, other)
    record = json.loads((other / "config.json").read_text(encoding="utf-8"))
    (other / "config.json").write_text(json.dumps({**record, key: value}), encoding="utf-8")
    with pytest.raises(ModelDirectoryError, match=reason):
        load_classifier(other, "cpu", torch.float32)
