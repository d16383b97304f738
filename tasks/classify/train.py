"""Trains a classifier from scratch: a convolution by gradient, separators over n-grams in one go, and their blend.

One set of defaults serves short sentences and long texts. Reads no files and prints nothing; `training_data.py` and
the command line do.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tasks.classify.blending import choose_blend
from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.label_set import LabelSet, Scores, label_set_of
from tasks.classify.pieces import pieces
from tasks.classify.text_cnn_backend import (
    BACKEND,
    TextCnnModel,
    TextEncoder,
    TextWindow,
    pad,
    sparse_rows,
    write_text_cnn,
)
from tasks.classify.training_batches import Part, TrainOptions, batches_of, lengthened, texts_per_epoch
from tasks.classify.training_data import LabelledTexts
from tasks.classify.vocabulary import learn_n_grams, learn_pieces
from tasks.nn.fit import Course, Epoch, FitOptions, FitReport, Progress, fit
from tasks.nn.losses import mean_loss
from tasks.nn.model_directory import ModelConfig, ModelDirectory
from tasks.nn.sparse_linear import fit_separators
from tasks.nn.text_cnn import TextCnn, TextCnnSizes
from tasks.nn.token_batches import cut_batches

#: Where a killed training is taken up, inside the model's directory.
STATE = "training"
#: Positions of a batch when the dev part is judged.
JUDGED_POSITIONS = 8192


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where the course of a training is shown."""

    on_progress: Callable[[Progress], None] | None = None
    on_epoch: Callable[[Epoch], None] | None = None


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    """What a training came to."""

    model: ModelDirectory
    report: FitReport
    metrics: dict[str, Any]


def train_classifier(
    train: LabelledTexts,
    dev: LabelledTexts,
    directory: Path,
    options: TrainOptions | None = None,
    reporting: Reporting | None = None,
    label_set: LabelSet | None = None,
) -> TrainedClassifier:
    """Train a classifier and write it to a directory, where a killed training is taken up again.

    Equal data, options and seed give an equal model. Labels that only the dev part has are not learned.
    Raises `FitError` when the loss is no finite number.
    """
    chosen = options or TrainOptions()
    labels = label_set or label_set_of(directory.name, "1", train.labels)
    cut = [pieces(text) for text in train.texts]
    encoder = learn_encoder(cut, chosen)
    parts = (
        Part([encoder.window_of(sequence) for sequence in cut], labels.targets(train.labels)),
        Part([encoder.window(text) for text in dev.texts], labels.targets(dev.labels)),
    )
    network, report = fit_network(*parts, encoder, chosen, directory / STATE, reporting or Reporting())
    model, metrics = _join(network, *parts, encoder, labels, chosen.separator_cost)
    metrics = {"loss": chosen.loss, "seed": chosen.seed, "best_epoch": report.best_epoch, **metrics}
    config = ModelConfig("classifier", BACKEND, labels.name, labels.version, {"loss": chosen.loss})
    return TrainedClassifier(write_text_cnn(directory, model, config, metrics), report, metrics)


def learn_encoder(cut: Sequence[list[str]], options: TrainOptions) -> TextEncoder:
    """Learn vocabularies from the pieces of texts."""
    return TextEncoder(
        learn_pieces(cut, options.piece_at_least, options.most_pieces),
        learn_n_grams(cut, options.n_gram_at_least, options.most_n_grams),
        options.max_positions,
    )


def fit_network(
    train: Part, dev: Part, encoder: TextEncoder, options: TrainOptions, state_dir: Path, reporting: Reporting
) -> tuple[TextCnn, FitReport]:
    """Train the network alone; it has the weights of the epoch that was best on the dev part."""
    network = _new_network(train, encoder, options)
    row_loss = mean_loss(options.loss)

    def loss_of(module: nn.Module, batch: Sequence[int]) -> Tensor:
        sequences, targets = lengthened(train, batch, options)
        return row_loss(module(pad(sequences)), torch.from_numpy(targets))

    steps = math.ceil(texts_per_epoch(train, options) / options.batch_texts)
    course: Course[Sequence[int]] = Course(
        steps_per_epoch=steps,
        batches=lambda generator: batches_of(train, options, generator),
        loss=loss_of,
        evaluate=lambda module: micro_and_macro_f1(network_logits(module, dev.windows), dev.targets)[0],
        data_digest=_digest(train, dev, options),
    )
    report = fit(network, course, _fit_options(train, options), state_dir, reporting.on_progress, reporting.on_epoch)
    return network.eval(), report


def _new_network(train: Part, encoder: TextEncoder, options: TrainOptions) -> TextCnn:
    torch.manual_seed(options.seed)
    network = TextCnn(
        TextCnnSizes(
            vocabulary=len(encoder.pieces),
            labels=train.targets.shape[1],
            embedding=options.embedding,
            channels=options.channels,
            dropout=options.dropout,
            embedding_dropout=options.embedding_dropout,
        )
    )
    network.start_at(torch.from_numpy(train.targets.mean(axis=0)))
    return network


def _fit_options(train: Part, options: TrainOptions) -> FitOptions:
    epochs = options.epochs or _epochs(train, options)
    return FitOptions(
        epochs=epochs,
        learning_rate=options.learning_rate,
        average_decay=options.average_decay,
        patience=math.ceil(epochs * options.patience_share),
        seed=options.seed,
    )


def _epochs(train: Part, options: TrainOptions) -> int:
    per_text = sum(window.length for window in train.windows) / len(train.windows)
    positions = per_text * texts_per_epoch(train, options)
    return min(20, max(4, round(options.positions_read / positions)))


@torch.inference_mode()
def network_logits(network: nn.Module, windows: Sequence[TextWindow]) -> Scores:
    """Return the network's logits (N, L)."""
    rows: dict[int, Scores] = {}
    for batch in cut_batches([window.length for window in windows], JUDGED_POSITIONS):
        logits = network(pad([windows[place].numbers for place in batch])).numpy()
        rows.update(zip(batch, logits, strict=True))
    return np.stack([rows[place] for place in range(len(windows))])


def _join(
    network: TextCnn, train: Part, dev: Part, encoder: TextEncoder, labels: LabelSet, cost: float
) -> tuple[TextCnnModel, dict[str, Any]]:
    """Fit the separators, choose the blend on the dev part, and return the whole with what each came to there."""
    width = len(encoder.n_grams)
    separators, biases = fit_separators(sparse_rows(train.windows, width), torch.from_numpy(train.targets), cost)
    margins = (sparse_rows(dev.windows, width).times(separators) + biases).numpy()
    logits = network_logits(network, dev.windows)
    blend = choose_blend(logits, margins, dev.targets)
    both = labels.close((logits + blend.weight * margins + blend.shift).astype(np.float32))
    figures = {
        "dev": _named(micro_and_macro_f1(both, dev.targets)),
        "dev_network_alone": _named(micro_and_macro_f1(labels.close(logits), dev.targets)),
        "dev_separators_alone": _named(micro_and_macro_f1(labels.close(margins), dev.targets)),
    }
    return TextCnnModel(network, separators, biases, encoder, labels, blend), figures


def _named(figures: tuple[float, float]) -> dict[str, float]:
    return {"micro_f1": round(figures[0], 2), "macro_f1": round(figures[1], 2)}


def _digest(train: Part, dev: Part, options: TrainOptions) -> str:
    digest = hashlib.sha256(repr(replace(options, epochs=None)).encode())
    for part in (train, dev):
        for window in part.windows:
            digest.update(window.numbers.tobytes())
        digest.update(part.targets.astype("<f4").tobytes())
    return digest.hexdigest()
