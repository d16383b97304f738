"""Trains the span pointer on documents with their titles, and writes it as a model directory.

The target is soft: every span that would do shares in it by its ROUGE (`span_targets.py`), so that the network is
trained on what it is judged by. Of each document the first window is read. Judged by ROUGE-L on the dev part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from tasks.nn.fit import Course, Epoch, FitError, FitOptions, FitReport, Progress, fit
from tasks.nn.model_directory import ModelConfig, ModelDirectory, write_model
from tasks.nn.offline import run_all
from tasks.nn.shuffled_batches import shuffled_batches
from tasks.nn.span_pointer import SpanBatch, SpanPointer, SpanPointerSettings, soft_target_loss
from tasks.summarize.evaluate import mean_rouge_l
from tasks.summarize.span_backend import BACKEND, STATISTICS, VOCABULARY, SpanBackend, settings_record
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.span_targets import CANDIDATES, SpanTarget, span_target
from tasks.summarize.span_windows import SpanWindow, collate, cut_windows, read_window
from tasks.summarize.summary import Summary
from tasks.summarize.training_data import Pair, pairs_digest
from tasks.text.characters import CharacterVocabulary, folded, frequent_characters

#: Documents of a step.
BATCH_DOCUMENTS = 16
#: A character that occurs less often is unknown.
MIN_CHARACTER_COUNT = 2
#: A pair whose best span scores less (0 … 1) teaches nothing about where titles stand.
MIN_BEST_SPAN = 0.1
#: Of the network, by default.
CHANNELS = 128
DROPOUT = 0.3
#: The share of characters that is hidden in training.
CHARACTER_DROPOUT = 0.1
EPOCHS = 6
LEARNING_RATE = 1.5e-3
#: Of the average of the weights, per step; in a short training less, so that it spans an eighth of the steps at most.
AVERAGE_DECAY = 0.99
AVERAGED_PART = 8
#: Where the state of a training lies, inside the model's directory.
STATE_FOLDER = "training"


@dataclass(frozen=True, slots=True)
class Example:
    """A document's first window and the soft target over its spans."""

    window: SpanWindow
    target: SpanTarget


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples side by side; places and shares are (B, K)."""

    windows: SpanBatch
    places: Tensor
    shares: Tensor


def train_span(  # noqa: PLR0913 - the data, where to, and what may be chosen
    train: Sequence[Pair],
    dev: Sequence[Pair],
    directory: Path,
    *,
    seed: int = 0,
    name: str = BACKEND,
    version: str = "1",
    epochs: int = EPOCHS,
    more_titles: Sequence[str] = (),
    channels: int = CHANNELS,
    on_progress: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[ModelDirectory, FitReport]:
    """Train on pairs and write the model; a training that was killed goes on where its last epoch ended.

    `more_titles` are titles of no training document: from them the network learns which pairs of characters titles
    have. Raises `FitError` when no document has anything like its title in it, or the loss is no number.
    """
    vocabulary = frequent_characters((pair.text for pair in train), MIN_CHARACTER_COUNT)
    statistics = PairStatistics.count((pair.text for pair in train), more_titles).storable()
    settings = SpanPointerSettings(characters=vocabulary.size, features=FEATURES, channels=channels)
    torch.manual_seed(seed)
    network = SpanPointer(settings, DROPOUT, CHARACTER_DROPOUT)
    examples = [example for pair in train if (example := example_of(pair, network, vocabulary, statistics))]
    if not examples:
        message = (
            "no document of the training data has anything like its title in its beginning; spans cannot be learned"
        )
        raise FitError(message)
    course = Course(
        steps_per_epoch=-(-len(examples) // BATCH_DOCUMENTS),
        batches=lambda generator: _batches(examples, generator),
        loss=_loss,
        evaluate=lambda judged: _judge(cast(SpanPointer, judged), vocabulary, statistics, dev),
        data_digest=pairs_digest([*train, *dev]),
    )
    decay = max(0.0, min(AVERAGE_DECAY, 1 - AVERAGED_PART / (epochs * course.steps_per_epoch)))
    options = FitOptions(epochs, LEARNING_RATE, average_decay=decay, patience=1, seed=seed)
    report = fit(network, course, options, directory / STATE_FOLDER, on_progress, on_epoch)
    tensors = {key: tensor.half() for key, tensor in network.state_dict().items()}
    tensors[STATISTICS] = torch.from_numpy(statistics.table).half()
    config = ModelConfig("summarizer", BACKEND, name, version, settings_record(settings, statistics))
    metrics = {"documents": len(examples), "seed": seed, "course": asdict(report)}
    return write_model(directory, config, tensors, {VOCABULARY: vocabulary.to_text().encode()}, metrics), report


def example_of(
    pair: Pair, network: SpanPointer, vocabulary: CharacterVocabulary, statistics: PairStatistics
) -> Example | None:
    """Return what a pair teaches; None for one whose document has nothing like the title."""
    place = cut_windows(pair.text, max_windows=1)[0]
    window = read_window(pair.text, place, vocabulary, statistics, network.settings.max_width, counted=True)
    allowed = network.allowed(collate([window]))[0].numpy()
    target = span_target(folded(pair.text[place[0] : place[1]]), folded(pair.target), allowed)
    return Example(window, target) if target and target.best >= MIN_BEST_SPAN else None


def computes_half() -> bool:
    """Say whether this CPU multiplies bf16 numbers in hardware, which makes training about twice as fast."""
    return bool(torch.cpu._is_avx512_bf16_supported())  # noqa: SLF001 - PyTorch has no public name for it


def _batches(examples: Sequence[Example], generator: torch.Generator) -> Iterator[Batch]:
    """Yield an epoch."""
    lengths = [example.window.length for example in examples]
    for batch in shuffled_batches(lengths, BATCH_DOCUMENTS, generator):
        yield _batch([examples[index] for index in batch])


def _batch(examples: Sequence[Example]) -> Batch:
    places = np.zeros((len(examples), CANDIDATES), dtype=np.int64)
    shares = np.zeros((len(examples), CANDIDATES), dtype=np.float32)
    for row, example in enumerate(examples):
        places[row, : len(example.target.places)] = example.target.places
        shares[row, : len(example.target.shares)] = example.target.shares
    windows = collate([example.window for example in examples])
    return Batch(windows, torch.from_numpy(places), torch.from_numpy(shares))


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16, enabled=computes_half()):
        towers = cast(SpanPointer, network).tower_scores(batch.windows)
    losses = [soft_target_loss(scores, batch.places, batch.shares) for scores, _ in towers]
    return torch.stack(losses).mean()


def _judge(
    network: SpanPointer, vocabulary: CharacterVocabulary, statistics: PairStatistics, dev: Sequence[Pair]
) -> float:
    """Return the ROUGE-L of titles on the dev part."""
    backend = SpanBackend(network, vocabulary, statistics, "")
    results = run_all(backend, [pair.text for pair in dev])
    texts = [result.text if isinstance(result, Summary) else "" for result in results]
    return mean_rouge_l(texts, [pair.target for pair in dev])
