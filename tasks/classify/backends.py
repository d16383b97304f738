"""Loads a classifier: one of ours by the backend that its configuration names, or another program's checkpoint.

Each kind of model is imported only when there is one of it to load.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import torch

from tasks.classify.label_set import LabelSet, Scores
from tasks.nn.backend import Backend
from tasks.nn.model_directory import ModelDirectoryError, is_model, open_model

#: What loads a checkpoint that another program wrote.
SEQUENCE_CLASSIFICATION = "sequence_classification"


class Classifier(Backend[Any, Any, Scores], Protocol):
    """A loaded classifier; its results are logits (labels,)."""

    label_set: LabelSet
    #: The probability of a logit s is 1 / (1 + exp(-scale · s)).
    scale: float

    def decide(self, scores: Scores) -> list[tuple[int, float]]:
        """Return the positions of the labels that are decided, with their probabilities."""
        ...


def load_classifier(directory: Path, device: str, dtype: torch.dtype) -> Classifier:
    """Load the classifier of a directory; raises `ModelDirectoryError` with the reason for what is none."""
    backend = _backend_of(directory)
    if backend == "text_cnn":
        from tasks.classify.text_cnn_backend import open_text_cnn  # noqa: PLC0415

        return open_text_cnn(directory, device)
    if backend == "encoder":
        from tasks.classify.encoder_backend import open_encoder  # noqa: PLC0415 - loads transformers

        return open_encoder(directory, device, dtype)
    if backend == SEQUENCE_CLASSIFICATION:
        from tasks.classify.sequence_classification_backend import (  # noqa: PLC0415 - loads transformers
            open_sequence_classification,
        )

        return open_sequence_classification(directory, device, dtype)
    message = f"{directory}: no classifier is called {backend!r}; a later version of hanmill may have written it"
    raise ModelDirectoryError(message)


def _backend_of(directory: Path) -> str:
    if not is_model(directory):
        return SEQUENCE_CLASSIFICATION
    config = open_model(directory).config
    if config.kind != "classifier":
        message = f"{directory}: is a {config.kind}, and a classifier is wanted"
        raise ModelDirectoryError(message)
    return config.backend
