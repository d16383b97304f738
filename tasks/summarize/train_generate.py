"""Trains the pointer-generator from scratch on documents with titles, and writes it as a model directory.

Against exposure bias the characters that it is shown as written so far are replaced at random (Su Jianlin 2020,
kexue.fm 7259): half of the titles stay as they are, of the others three tenths of the characters become others of the
document or the title. Judged by ROUGE-L on the dev part, greedily.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tasks.nn.fit import Course, Epoch, FitError, FitOptions, FitReport, Progress, fit
from tasks.nn.model_directory import ModelConfig, ModelDirectory, write_model
from tasks.nn.offline import run_all
from tasks.nn.pointer_generator import PointerGenerator, PointerGeneratorSettings, SourceBatch, writing_loss
from tasks.nn.shuffled_batches import shuffled_batches
from tasks.summarize.evaluate import mean_rouge_l
from tasks.summarize.generate_backend import BACKEND, GenerateBackend, settings_record
from tasks.summarize.source_windows import SourceWindow, collate_sources, read_source, target_tokens
from tasks.summarize.span_backend import STATISTICS, VOCABULARY
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.summary import Summary
from tasks.summarize.training_data import Pair, pairs_digest
from tasks.text.characters import CharacterVocabulary, frequent_characters

BATCH_DOCUMENTS = 16
#: A character that occurs less often is unknown.
MIN_CHARACTER_COUNT = 2
#: Characters of a target beyond which it is cut.
MAX_TARGET_CHARS = 128
DROPOUT = 0.3
EPOCHS = 12
LEARNING_RATE = 2e-3
AVERAGE_DECAY = 0.99
#: Shares of the titles that are shown as they are, and of the characters that are replaced in the others.
UNTOUCHED = 0.5
REPLACED = 0.3
STATE_FOLDER = "training"


@dataclass(frozen=True, slots=True)
class Example:
    """A document's first window, and the tokens that write its title."""

    window: SourceWindow
    target: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples side by side."""

    source: SourceBatch
    #: (B, U): what is shown as written so far, and what follows it; zeros are padding.
    shown: Tensor
    targets: Tensor


@dataclass(frozen=True, slots=True)
class GeneratorOptions:
    """How a generator is trained."""

    epochs: int = EPOCHS
    learning_rate: float = LEARNING_RATE
    dropout: float = DROPOUT
    embedding: int = 128
    channels: int = 256
    layers: int = 2
    #: Whether characters shown as written are replaced at random.
    replaces: bool = True
    seed: int = 0


def train_generate(  # noqa: PLR0913 - the data, where to, and what may be chosen
    train: Sequence[Pair],
    dev: Sequence[Pair],
    directory: Path,
    options: GeneratorOptions | None = None,
    *,
    name: str = BACKEND,
    version: str = "1",
    on_progress: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[ModelDirectory, FitReport]:
    """Train on pairs and write the model; a training that was killed goes on where its last epoch ended.

    Raises `FitError` when there is nothing to learn, or the loss is no number.
    """
    options = options or GeneratorOptions()
    vocabulary = frequent_characters((side for pair in train for side in (pair.text, pair.target)), MIN_CHARACTER_COUNT)
    statistics = PairStatistics.count((pair.text for pair in train), [pair.target for pair in train]).storable()
    settings = PointerGeneratorSettings(vocabulary.size, FEATURES, options.embedding, options.channels, options.layers)
    examples = [_example(pair, vocabulary, statistics, settings) for pair in train]
    if not examples:
        message = "there is no document with a title to learn from"
        raise FitError(message)
    torch.manual_seed(options.seed)
    network = PointerGenerator(settings, options.dropout)
    course = Course(
        steps_per_epoch=-(-len(examples) // BATCH_DOCUMENTS),
        batches=lambda generator: _batches(examples, settings, options, generator),
        loss=lambda trained, batch: writing_loss(trained(batch.source, batch.shown), batch.targets),
        evaluate=lambda judged: _judge(judged, vocabulary, statistics, dev),
        data_digest=pairs_digest([*train, *dev]),
    )
    fitted = FitOptions(options.epochs, options.learning_rate, average_decay=AVERAGE_DECAY, seed=options.seed)
    report = fit(network, course, fitted, directory / STATE_FOLDER, on_progress, on_epoch)
    tensors = {key: tensor.half() for key, tensor in network.state_dict().items()}
    tensors[STATISTICS] = torch.from_numpy(statistics.table).half()
    config = ModelConfig("summarizer", BACKEND, name, version, settings_record(settings, statistics))
    metrics = {"documents": len(examples), "options": asdict(options), "course": asdict(report)}
    return write_model(directory, config, tensors, {VOCABULARY: vocabulary.to_text().encode()}, metrics), report


def _example(
    pair: Pair, vocabulary: CharacterVocabulary, statistics: PairStatistics, settings: PointerGeneratorSettings
) -> Example:
    window = read_source(pair.text, vocabulary, statistics, settings, counted=True)
    return Example(window, target_tokens(pair.target[:MAX_TARGET_CHARS], window, vocabulary, settings))


def _batches(
    examples: Sequence[Example],
    settings: PointerGeneratorSettings,
    options: GeneratorOptions,
    generator: torch.Generator,
) -> Iterator[Batch]:
    """Yield an epoch."""
    lengths = [example.window.length for example in examples]
    for batch in shuffled_batches(lengths, BATCH_DOCUMENTS, generator):
        yield _batch([examples[index] for index in batch], settings, options, generator)


def _batch(
    examples: Sequence[Example],
    settings: PointerGeneratorSettings,
    options: GeneratorOptions,
    generator: torch.Generator,
) -> Batch:
    length = max(len(example.target) for example in examples)
    targets = np.zeros((len(examples), length), dtype=np.int64)
    shown = np.zeros((len(examples), length), dtype=np.int64)
    for row, example in enumerate(examples):
        targets[row, : len(example.target)] = example.target
        shown[row, 0] = settings.start
        shown[row, 1 : len(example.target)] = _shown(example, options, generator)
    source = collate_sources([example.window for example in examples], settings)
    return Batch(source, torch.from_numpy(shown), torch.from_numpy(targets))


def _shown(example: Example, options: GeneratorOptions, generator: torch.Generator) -> NDArray[np.int64]:
    """Return the title as it is shown to the decoder, without its end."""
    title = example.target[:-1]
    if not options.replaces or torch.rand((), generator=generator).item() < UNTOUCHED:
        return title
    drawn_from = np.concatenate([example.window.copied, title])
    drawn = drawn_from[torch.randint(len(drawn_from), (len(title),), generator=generator).numpy()]
    is_replaced = (torch.rand(len(title), generator=generator) < REPLACED).numpy()
    return np.where(is_replaced, drawn, title)


def _judge(
    network: nn.Module, vocabulary: CharacterVocabulary, statistics: PairStatistics, dev: Sequence[Pair]
) -> float:
    """Return the ROUGE-L of greedily written titles on the dev part."""
    backend = GenerateBackend(
        cast(PointerGenerator, network), vocabulary, statistics, "", max_chars=MAX_TARGET_CHARS, beams=1
    )
    results = run_all(backend, [pair.text for pair in dev])
    texts = [result.text if isinstance(result, Summary) else "" for result in results]
    return mean_rouge_l(texts, [pair.target for pair in dev])
