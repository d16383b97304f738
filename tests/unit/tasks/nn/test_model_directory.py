"""A model directory is what was written, or it is refused with the reason."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path

import pytest
import torch

from tasks.nn.model_directory import ModelConfig, ModelDirectory, ModelDirectoryError, is_model, open_model, write_model

CONFIG = ModelConfig("classifier", "text_cnn", "news", "1", {"channels": 4})


def make(directory: Path, *, weight: float = 1.0, name: str = "news") -> ModelDirectory:
    config = ModelConfig(CONFIG.kind, CONFIG.backend, name, CONFIG.version, CONFIG.settings)
    files = {"vocab.txt": "一\n二\n".encode(), "encoder/config.json": b"{}"}
    return write_model(directory, config, {"w": torch.full((2, 3), weight)}, files, {"micro_f1": 0.8})


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    written = make(tmp_path / "m")
    read = open_model(tmp_path / "m")
    assert read == written
    assert read.config == CONFIG
    assert torch.equal(read.tensors()["w"], torch.ones(2, 3))
    assert read.read_text("vocab.txt") == "一\n二\n"
    assert read.metrics == {"micro_f1": 0.8}
    assert is_model(tmp_path / "m")


def test_the_digest_is_of_what_decides_results_and_of_nothing_else(tmp_path: Path) -> None:
    model = make(tmp_path / "a")
    assert make(tmp_path / "b", name="renamed").digest == model.digest
    assert make(tmp_path / "c", weight=1.5).digest != model.digest
    (tmp_path / "a" / "README.md").write_text("a card")
    (tmp_path / "a" / "metrics.json").write_text("{}")
    assert open_model(tmp_path / "a").digest == model.digest


@pytest.mark.parametrize("file", ["model.safetensors", "vocab.txt", "encoder/config.json"])
def test_an_altered_or_missing_file_is_named(tmp_path: Path, file: str) -> None:
    make(tmp_path)
    path = tmp_path / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelDirectoryError, match="altered"):
        open_model(tmp_path)
    path.unlink()
    with pytest.raises(ModelDirectoryError, match=f"{file}: missing"):
        open_model(tmp_path)


def test_a_directory_whose_training_did_not_end_is_no_model(tmp_path: Path) -> None:
    make(tmp_path)
    (tmp_path / "config.json").unlink()
    assert not is_model(tmp_path)
    with pytest.raises(ModelDirectoryError, match="training did not end"):
        open_model(tmp_path)
    with pytest.raises(ModelDirectoryError, match="no such directory"):
        open_model(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "config",
    [
        "{",
        "[]",
        '{"model_type": "bert"}',
        '{"hanmill_model": 2}',
        '{"hanmill_model": 1, "kind": "classifier"}',
        '{"hanmill_model":1,"kind":"oracle","backend":"b","name":"n","version":"1","settings":{},"files":{}}',
        '{"hanmill_model":1,"kind":"classifier","backend":"b","name":"n","version":"1","settings":3,"files":{}}',
    ],
)
def test_a_configuration_that_is_none_is_refused(tmp_path: Path, config: str) -> None:
    make(tmp_path)
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(ModelDirectoryError, match=r"config\.json"):
        open_model(tmp_path)


def test_no_file_outside_the_directory_is_read(tmp_path: Path) -> None:
    make(tmp_path / "m")
    (tmp_path / "secret").write_text("s")
    record = json.loads((tmp_path / "m" / "config.json").read_text())
    record["files"]["../secret"] = "0" * 64
    (tmp_path / "m" / "config.json").write_text(json.dumps(record))
    with pytest.raises(ModelDirectoryError, match="outside"):
        open_model(tmp_path / "m")


def test_pickled_weights_under_the_name_of_safetensors_run_nothing(tmp_path: Path) -> None:
    make(tmp_path)
    record = json.loads((tmp_path / "config.json").read_text())
    pickled = pickle.dumps({"w": [1.0]})
    (tmp_path / "model.safetensors").write_bytes(pickled)
    with pytest.raises(ModelDirectoryError, match="altered"):
        open_model(tmp_path)
    record["files"]["model.safetensors"] = hashlib.sha256(pickled).hexdigest()
    (tmp_path / "config.json").write_text(json.dumps(record))
    with pytest.raises(ModelDirectoryError, match="not readable as safetensors"):
        open_model(tmp_path).tensors()
