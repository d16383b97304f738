"""Fine-tunes an encoder checkpoint to label texts: all its weights, and one new layer on the mean of its positions.

Reads no files of texts (`training_data.py`) and prints nothing. Texts are cut to the model's beginning window, as they
will be when it labels.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tasks.classify.encoder_backend import BACKEND, load_encoder, open_encoder_checkpoint, write_encoder
from tasks.classify.figures import micro_and_macro_f1
from tasks.classify.label_set import LabelSet, Scores, label_set_of
from tasks.classify.train import STATE, Reporting, TrainedClassifier
from tasks.classify.training_data import LabelledTexts
from tasks.nn.checkpoints import Checkpoint, TokenWindow, pad
from tasks.nn.encoder_classifier import EncoderClassifier
from tasks.nn.fit import STATE_FILE, Course, FitOptions, FitReport, fit
from tasks.nn.losses import NATURAL_SCALE, mean_loss
from tasks.nn.model_directory import ModelConfig
from tasks.nn.token_batches import cut_batches

#: So many batches are drawn at random together and sorted by length, so that little of a batch is padding.
POOL_BATCHES = 32
#: Positions of a batch when the dev part is judged.
JUDGED_POSITIONS = 8192


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How an encoder is fine-tuned; the defaults suit models of BERT's size."""

    #: `zlpr` or `bce`.
    loss: str = "zlpr"

    #: None: 5, or as many as make `least_steps`, at most 20: small sets need more epochs.
    epochs: int | None = None
    least_steps: int = 600
    learning_rate: float = 3e-5
    batch_texts: int = 32
    #: Of a text, special tokens included.
    max_positions: int = 256
    dropout: float = 0.1
    #: None: half of the epochs, at least 3; with rare labels the first ones often decide nothing at all.
    patience: int | None = None
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Part:
    """Encoded texts and what is right for them."""

    windows: Sequence[TokenWindow]
    #: (texts, labels), 1 where a label belongs to a text.
    targets: Scores


def train_encoder(
    train: LabelledTexts,
    dev: LabelledTexts,
    checkpoint_directory: Path,
    directory: Path,
    options: EncoderOptions | None = None,
    reporting: Reporting | None = None,
    label_set: LabelSet | None = None,
) -> TrainedClassifier:
    """Fine-tune a checkpoint and write it to a directory, where a killed training is taken up again.

    Labels that only the dev part has are not learned. Raises `ModelDirectoryError` for a checkpoint that is no encoder
    or would load wrong, and `FitError` when the loss is no finite number.
    """
    chosen = options or EncoderOptions()
    checkpoint = open_encoder_checkpoint(checkpoint_directory.absolute())
    labels = label_set or label_set_of(directory.name, "1", train.labels)
    parts = (
        encode_part(checkpoint, train.texts, labels.targets(train.labels), chosen.max_positions),
        encode_part(checkpoint, dev.texts, labels.targets(dev.labels), chosen.max_positions),
    )
    network, report = fit_encoder(checkpoint, *parts, chosen, directory / STATE, reporting or Reporting())
    micro, macro = judge(network, parts[1], labels, checkpoint, chosen.device)
    metrics = {
        "loss": chosen.loss,
        "seed": chosen.seed,
        "best_epoch": report.best_epoch,
        "dev": {"micro_f1": round(micro, 2), "macro_f1": round(macro, 2)},
    }
    settings = {
        "max_positions": chosen.max_positions,
        "scale": NATURAL_SCALE[chosen.loss],
        "loss": chosen.loss,
        "checkpoint": checkpoint.digest,
    }
    config = ModelConfig("classifier", BACKEND, labels.name, labels.version, settings)
    model = write_encoder(directory, network, checkpoint, labels, config, metrics)
    # Four times the size of the model, and of no use any more.
    (directory / STATE / STATE_FILE).unlink()
    return TrainedClassifier(model, report, metrics)


def encode_part(checkpoint: Checkpoint, texts: Sequence[str], targets: Scores, max_positions: int) -> Part:
    """Encode the texts of a part, once for all epochs."""
    positions = min(max_positions, checkpoint.max_positions)
    return Part([TokenWindow(checkpoint.tokenizer.window(text, positions)) for text in texts], targets)


def fit_encoder(
    checkpoint: Checkpoint,
    train: Part,
    dev: Part,
    options: EncoderOptions,
    state_dir: Path,
    reporting: Reporting,
) -> tuple[EncoderClassifier, FitReport]:
    """Fine-tune a checkpoint; the network has the weights of the epoch that was best on the dev part.

    A killed training is taken up from `state_dir`. Raises `ModelDirectoryError` for a checkpoint that is no encoder.
    """
    network = new_network(checkpoint, train, options)
    loss = mean_loss(options.loss)

    def loss_of(module: nn.Module, batch: Sequence[int]) -> Tensor:
        ids, mask = pad([train.windows[place] for place in batch], checkpoint.tokenizer.pad_id, options.device)
        return loss(module(ids, mask), torch.from_numpy(train.targets[list(batch)]).to(options.device))

    steps = math.ceil(len(train.windows) / options.batch_texts)
    course: Course[Sequence[int]] = Course(
        steps_per_epoch=steps,
        batches=lambda generator: batches_of(train.windows, options.batch_texts, generator),
        loss=loss_of,
        evaluate=lambda module: micro_and_macro_f1(logits_of(module, dev, checkpoint, options.device), dev.targets)[0],
        data_digest=_digest(checkpoint, train, dev, options.loss),
    )
    report = fit(network, course, _fit_options(options, steps), state_dir, reporting.on_progress, reporting.on_epoch)
    return network.eval(), report


def new_network(checkpoint: Checkpoint, train: Part, options: EncoderOptions) -> EncoderClassifier:
    """Return the encoder with a new layer, the same for the same seed, that starts at the labels' frequencies."""
    encoder = load_encoder(checkpoint, options.device, torch.float32)
    torch.manual_seed(options.seed)
    network = EncoderClassifier(encoder, train.targets.shape[1], options.dropout)
    shares = (train.targets.sum(0) + 1.0) / (len(train.targets) + 2.0)
    with torch.no_grad():
        # Half the log odds: what the loss ZLPR settles at, and a calm beginning for any other.
        network.head.bias.copy_(torch.from_numpy(np.log(shares / (1.0 - shares)) / 2.0))
        network.head.weight.mul_(0.1)
    return network.to(options.device)


def _fit_options(options: EncoderOptions, steps_per_epoch: int) -> FitOptions:
    epochs = options.epochs or min(20, max(5, math.ceil(options.least_steps / steps_per_epoch)))
    return FitOptions(
        epochs=epochs,
        learning_rate=options.learning_rate,
        patience=options.patience or max(3, epochs // 2),
        seed=options.seed,
    )


def batches_of(windows: Sequence[TokenWindow], size: int, generator: torch.Generator) -> Iterator[Sequence[int]]:
    """Give the places of all windows in batches: at random, but with like lengths together."""
    order = torch.randperm(len(windows), generator=generator).tolist()
    pool = size * POOL_BATCHES
    batches: list[Sequence[int]] = []
    for start in range(0, len(order), pool):
        drawn = sorted(order[start : start + pool], key=lambda place: windows[place].length)
        batches.extend(drawn[first : first + size] for first in range(0, len(drawn), size))
    for number in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[number]


def logits_of(network: nn.Module, part: Part, checkpoint: Checkpoint, device: str) -> Scores:
    """Return the logits (texts, labels) of a part."""
    logits = np.zeros_like(part.targets, dtype=np.float32)
    for batch in cut_batches([window.length for window in part.windows], JUDGED_POSITIONS):
        ids, mask = pad([part.windows[place] for place in batch], checkpoint.tokenizer.pad_id, device)
        logits[batch] = network(ids, mask).float().cpu().numpy()
    return logits


@torch.inference_mode()
def judge(network: nn.Module, part: Part, labels: LabelSet, checkpoint: Checkpoint, device: str) -> tuple[float, float]:
    """Return micro and macro F1 of a part in per cent, parents following their children."""
    return micro_and_macro_f1(labels.close(logits_of(network, part, checkpoint, device)), part.targets)


def _digest(checkpoint: Checkpoint, train: Part, dev: Part, loss: str) -> str:
    digest = hashlib.sha256(f"{checkpoint.digest} {loss}".encode())
    for part in (train, dev):
        digest.update(repr([window.ids for window in part.windows]).encode())
        digest.update(part.targets.astype("<f4").tobytes())
    return digest.hexdigest()
