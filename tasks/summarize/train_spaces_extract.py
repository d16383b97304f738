"""Trains the extractor on documents with their summaries, and writes it as a model directory.

Two losses: the runs of clauses against a softmax of their ROUGE-L (so that all good runs are right, not one alone), and
the clauses against the labels of SPACES' recursive matching. Judged by ROUGE-L on the dev part.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.nn.clause_tagger import NO_RUN, ClauseBatch, ClauseTagger, ClauseTaggers, TaggerSettings
from tasks.nn.fit import Course, Epoch, FitOptions, FitReport, Progress, fit
from tasks.nn.model_directory import ModelConfig, ModelDirectory, write_model
from tasks.nn.offline import run_all
from tasks.summarize.clause_window import (
    BUCKETS,
    FEATURES,
    ClauseWindow,
    Floats,
    clause_window,
    inverse_document_frequencies,
)
from tasks.summarize.evaluate import mean_rouge_l
from tasks.summarize.extract_labels import extract_labels
from tasks.summarize.run_targets import run_targets
from tasks.summarize.spaces_extract_backend import (
    BACKEND,
    INVERSE_FREQUENCIES,
    SpacesExtractBackend,
    clause_batch,
    settings_record,
)
from tasks.summarize.summary import Summary
from tasks.summarize.training_data import Pair, pairs_digest
from tasks.text.rouge import normalize

#: Documents of a step.
BATCH_DOCUMENTS = 16
#: Batches are made of documents of like length, among this many batches' worth.
SORTED_BATCHES = 32
#: Differences of ROUGE-L (as a fraction) are divided by this before the softmax: 0.05 less is 1/e as likely.
TEMPERATURE = 0.05
#: The weight of the labels beside the runs.
LABEL_WEIGHT = 0.3
EPOCHS = 3
LEARNING_RATE = 2e-3
AVERAGE_DECAY = 0.99
#: The version that a model says it is; a user who trains again gives the directory another name.
VERSION = "1"
#: Where the state of a training lies, inside the model's directory.
STATE_FOLDER = "training"


@dataclass(frozen=True, slots=True)
class Example:
    """A document of T clauses with its targets: runs (T, W), -1 where there is none, and labels (T,)."""

    window: ClauseWindow
    runs: Floats
    labels: Floats


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples side by side."""

    clauses: ClauseBatch
    runs: Tensor
    labels: Tensor


def train_spaces_extract(
    train: Sequence[Pair],
    dev: Sequence[Pair],
    directory: Path,
    *,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> tuple[ModelDirectory, FitReport]:
    """Train on pairs and write the model; a training that was killed goes on where its last epoch ended."""
    inverse_frequencies = inverse_document_frequencies([pair.text for pair in train])
    settings = TaggerSettings(features=FEATURES, buckets=BUCKETS)
    examples = [example_of(pair, inverse_frequencies, settings.max_width) for pair in train]
    course = Course(
        steps_per_epoch=-(-len(examples) // BATCH_DOCUMENTS),
        batches=lambda generator: _batches(examples, generator),
        loss=_loss,
        evaluate=lambda judged: _judge(cast(ClauseTagger, judged), inverse_frequencies, dev),
        data_digest=pairs_digest([*train, *dev]),
    )
    torch.manual_seed(seed)
    network = ClauseTaggers(settings)
    reports = []
    for number, member in enumerate(network.members):
        _measure_features(cast(ClauseTagger, member), examples)
        options = FitOptions(
            EPOCHS, LEARNING_RATE, average_decay=AVERAGE_DECAY, patience=1, seed=seed * settings.members + number
        )
        reports.append(fit(member, course, options, directory / STATE_FOLDER / str(number), on_progress, on_epoch))
    report = _together(reports, _judge(network, inverse_frequencies, dev))
    tensors = {key: tensor.half() for key, tensor in network.state_dict().items()}
    tensors[INVERSE_FREQUENCIES] = torch.from_numpy(inverse_frequencies).half()
    config = ModelConfig("summarizer", BACKEND, directory.name, VERSION, settings_record(settings))
    metrics = {"documents": len(train), "seed": seed, "course": asdict(report)}
    model = write_model(directory, config, tensors, {}, metrics)
    # The model is whole: nothing is to be taken up any more.
    shutil.rmtree(directory / STATE_FOLDER, ignore_errors=True)
    return model, report


def example_of(pair: Pair, inverse_frequencies: Floats, max_width: int) -> Example:
    """Return what a pair teaches."""
    window = clause_window(pair.text, inverse_frequencies)
    pieces = [normalize(pair.text[start:end]) for start, end in window.spans]
    labels = np.zeros(len(pieces), dtype=np.float32)
    labels[extract_labels(pieces, pair.target)] = 1.0
    return Example(window, run_targets(pieces, pair.target, max_width), labels)


def _together(reports: Sequence[FitReport], figure: float) -> FitReport:
    """Return the course of all members, one after the other, with the figure of what they are together."""
    best = max(range(len(reports)), key=lambda member: reports[member].best_figure)
    before = sum(len(report.epochs) for report in reports[:best])
    return FitReport(
        epochs=[epoch for report in reports for epoch in report.epochs],
        best_epoch=before + reports[best].best_epoch,
        best_figure=figure,
        seconds=sum(report.seconds for report in reports),
    )


def _measure_features(network: ClauseTagger, examples: Sequence[Example]) -> None:
    """Write down the mean and the deviation of every feature, by which the network scales them."""
    features = np.concatenate([example.window.features for example in examples])
    network.feature_mean.copy_(torch.from_numpy(features.mean(axis=0)))
    # A feature that never changes is 0 then, not noise divided by nothing.
    network.feature_deviation.copy_(torch.from_numpy(np.maximum(features.std(axis=0), 1e-2)))


def _batches(examples: Sequence[Example], generator: torch.Generator) -> Iterator[Batch]:
    """Yield an epoch: shuffled, then sorted by length within stretches, so that little is padded."""
    order = torch.randperm(len(examples), generator=generator).tolist()
    stretch = BATCH_DOCUMENTS * SORTED_BATCHES
    dice = random.Random(int(torch.randint(1 << 31, (1,), generator=generator)))  # noqa: S311 - no secret
    for start in range(0, len(order), stretch):
        part = sorted(order[start : start + stretch], key=lambda index: examples[index].window.length)
        groups = [part[at : at + BATCH_DOCUMENTS] for at in range(0, len(part), BATCH_DOCUMENTS)]
        dice.shuffle(groups)
        yield from (_batch([examples[index] for index in group]) for group in groups)


def _batch(examples: Sequence[Example]) -> Batch:
    clauses = clause_batch([example.window for example in examples])
    longest = clauses.mask.shape[1]
    runs = np.full((len(examples), longest, examples[0].runs.shape[1]), -1.0, dtype=np.float32)
    labels = np.zeros((len(examples), longest), dtype=np.float32)
    for row, example in enumerate(examples):
        runs[row, : example.window.length] = example.runs
        labels[row, : example.window.length] = example.labels
    return Batch(clauses, torch.from_numpy(runs), torch.from_numpy(labels))


def _loss(network: nn.Module, batch: Batch) -> Tensor:
    scores, keep = network(batch.clauses)
    labels = functional.binary_cross_entropy_with_logits(keep, batch.labels, reduction="none")[batch.clauses.mask]
    return run_loss(scores, batch.runs) + LABEL_WEIGHT * labels.mean()


def run_loss(scores: Tensor, targets: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of the runs' softmax from that of their targets, mean over documents.

    (B, T, W) both; a target of -1 is no run.
    """
    absent = (targets < 0).flatten(1)
    wanted = torch.softmax((targets / TEMPERATURE).flatten(1).masked_fill(absent, NO_RUN), dim=1)
    logarithms = torch.log_softmax(scores.flatten(1).masked_fill(absent, NO_RUN), dim=1)
    return functional.kl_div(logarithms, wanted, reduction="batchmean")


def _judge(network: ClauseTagger | ClauseTaggers, inverse_frequencies: Floats, dev: Sequence[Pair]) -> float:
    """Return ROUGE-L on the dev part, summaries being as long at most as the written ones are on average."""
    max_chars = max(1, round(float(np.mean([len(pair.target) for pair in dev]))))
    backend = SpacesExtractBackend(network, inverse_frequencies, "", "cpu", length="short", max_chars=max_chars)
    results = run_all(backend, [pair.text for pair in dev])
    texts = [result.text if isinstance(result, Summary) else "" for result in results]
    return mean_rouge_l(texts, [pair.target for pair in dev])
