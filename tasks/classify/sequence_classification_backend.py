"""Labels by a classifier that the user has: any sequence classification checkpoint.

A checkpoint with `problem_type: multi_label_classification` decides every label whose logit is above 0. Any other is
taken for one of many, as transformers does: the label with the greatest logit is decided, and a label's score is how
far its logit is above the greatest of the others. Regressions are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tasks.classify.label_set import Label, LabelSet
from tasks.classify.token_classifier import Decision, TokenClassifier
from tasks.nn.checkpoints import Checkpoint, open_checkpoint
from tasks.nn.model_directory import CONFIG, ModelDirectoryError

AUTO_CLASS = "AutoModelForSequenceClassification"
MULTI_LABEL = "multi_label_classification"
REGRESSION = "regression"
#: Digits of the digest that make a label set's version: other files, other labels.
VERSION_DIGITS = 12


def open_sequence_classification(directory: Path, device: str, dtype: torch.dtype) -> TokenClassifier:
    """Load a classifier; raises `ModelDirectoryError` with the reason for a directory that is none."""
    checkpoint = open_checkpoint(directory.absolute())
    network: Any = checkpoint.load(AUTO_CLASS, device, dtype)
    is_multi = checkpoint.config.get("problem_type") == MULTI_LABEL
    names = label_names(directory, network.config.id2label, network.config.num_labels)
    _check_problem(checkpoint, names, is_multi=is_multi)

    def score(ids: Tensor, mask: Tensor) -> Tensor:
        logits: Tensor = network(input_ids=ids, attention_mask=mask).logits
        return logits

    return TokenClassifier(
        checkpoint.tokenizer,
        checkpoint.max_positions,
        score,
        LabelSet(directory.name, checkpoint.digest[:VERSION_DIGITS], tuple(Label(name) for name in names)),
        Decision(scale=1.0, is_single=not is_multi),
        digest=checkpoint.digest,
        device=device,
    )


def label_names(directory: Path, names: Mapping[int, str], count: int) -> list[str]:
    """Return the names in the order of the logits; raises `ModelDirectoryError` when they do not fit."""
    listed = [str(names.get(position, "")) for position in range(count)]
    if len(names) != count or len(set(listed)) != count or "" in listed:
        message = (
            f"{directory / CONFIG}: `id2label` does not name {count} different labels, 0 to {count - 1}; correct it"
        )
        raise ModelDirectoryError(message)
    return listed


def _check_problem(checkpoint: Checkpoint, names: list[str], *, is_multi: bool) -> None:
    is_regression = checkpoint.config.get("problem_type") == REGRESSION or (len(names) == 1 and not is_multi)
    if is_regression:
        message = f"{checkpoint.path}: is a regression, which has no labels; a classifier is needed"
        raise ModelDirectoryError(message)
