"""Labels by an encoder checkpoint that `hanmill train classifier --checkpoint` fine-tuned.

A model directory of ours: the encoder as a checkpoint in `encoder/`, the layer on top of it in `model.safetensors`.
Trains nothing (`train_encoder.py`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tasks.classify.label_set import LabelSet
from tasks.classify.token_classifier import Decision, TokenClassifier
from tasks.nn.checkpoints import Checkpoint, decisive_files, open_checkpoint
from tasks.nn.encoder_classifier import UNUSED_WEIGHTS, EncoderClassifier
from tasks.nn.model_directory import (
    CONFIG,
    ModelConfig,
    ModelDirectory,
    ModelDirectoryError,
    open_model,
    write_model,
)

BACKEND = "encoder"
AUTO_CLASS = "AutoModel"
#: Where the encoder lies inside a model directory.
ENCODER = "encoder"
LABELS = "labels.json"
WEIGHT_SUFFIXES = (".safetensors", ".safetensors.index.json")


def open_encoder(directory: Path, device: str, dtype: torch.dtype) -> TokenClassifier:
    """Load a fine-tuned encoder; raises `ModelDirectoryError` with the reason for a directory that is none."""
    model = open_model(directory)
    checkpoint = open_encoder_checkpoint(directory.absolute() / ENCODER)
    label_set = _read_labels(model)
    network = EncoderClassifier(load_encoder(checkpoint, device, dtype), len(label_set.labels))
    _load_head(model, network)
    settings = model.config.settings
    return TokenClassifier(
        checkpoint.tokenizer,
        min(checkpoint.max_positions, int(settings["max_positions"])),
        network.to(device).eval(),
        label_set,
        Decision(scale=float(settings["scale"])),
        digest=model.digest,
        device=device,
    )


def _read_labels(model: ModelDirectory) -> LabelSet:
    try:
        return LabelSet.from_json(model.read_json(LABELS))
    except ValueError as error:
        message = f"{model.path / LABELS}: {error}"
        raise ModelDirectoryError(message) from error


def open_encoder_checkpoint(directory: Path) -> Checkpoint:
    """Open a checkpoint that is to be fine-tuned, or was; raises `ModelDirectoryError` for what is no encoder."""
    checkpoint = open_checkpoint(directory)
    if checkpoint.config.get("is_encoder_decoder"):
        message = (
            f"{directory}: a {checkpoint.model_type} reads and writes; an encoder such as BERT is needed for labels"
        )
        raise ModelDirectoryError(message)
    return checkpoint


def load_encoder(checkpoint: Checkpoint, device: str, dtype: torch.dtype) -> Any:
    """Return the encoder alone, without the head that it was trained with."""
    return checkpoint.load(AUTO_CLASS, device, dtype, unused=UNUSED_WEIGHTS)


def _load_head(model: ModelDirectory, network: EncoderClassifier) -> None:
    tensors = model.tensors()
    expected = network.head.state_dict()
    found = {name.removeprefix("head."): tensor for name, tensor in tensors.items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in found.items()}
    if shapes != {name: tuple(tensor.shape) for name, tensor in expected.items()}:
        message = f"{model.path}: the weights are not those of one layer from the encoder to {LABELS}: {shapes}"
        raise ModelDirectoryError(message)
    network.head.load_state_dict(found)


def write_encoder(
    directory: Path,
    network: EncoderClassifier,
    source: Checkpoint,
    label_set: LabelSet,
    config: ModelConfig,
    metrics: Mapping[str, Any],
) -> ModelDirectory:
    """Write a fine-tuned encoder, with the tokenizer of the checkpoint that it was made from."""
    head = {f"head.{name}": tensor for name, tensor in network.head.state_dict().items()}
    labels = label_set.to_json()
    return write_model(directory, config, head, {LABELS: labels, **_encoder_files(network, source)}, metrics)


def _encoder_files(network: EncoderClassifier, source: Checkpoint) -> dict[str, bytes]:
    kept = [name for name in decisive_files(source.path) if name != CONFIG and not name.endswith(WEIGHT_SUFFIXES)]
    files = {f"{ENCODER}/{name}": (source.path / name).read_bytes() for name in kept}
    with tempfile.TemporaryDirectory() as folder:
        network.encoder.save_pretrained(folder)
        saved = {f"{ENCODER}/{path.name}": path.read_bytes() for path in sorted(Path(folder).iterdir())}
    return {**files, **saved}
