"""The batches that a classifier's network learns from: which texts an epoch reads, in what order, and what is joined.

Knows no network. All that is random follows a generator or the seed of the process.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from tasks.classify.label_set import Scores
from tasks.classify.text_cnn_backend import TextWindow

Numbers = NDArray[np.int64]
#: So many batches are drawn at random together and sorted by length, so that little of a batch is padding.
POOL_BATCHES = 40


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a classifier is trained."""

    loss: str = "zlpr"
    seed: int = 0
    #: None: as many as read about `positions_read` positions.
    epochs: int | None = None
    positions_read: int = 3_000_000
    learning_rate: float = 5e-3
    batch_texts: int = 32
    #: Of the texts without any label, the share that an epoch reads: they are many and teach little.
    unlabelled_share: float = 0.5
    #: The share of texts behind which another is put, where both together have so few positions.
    joined_share: float = 0.4
    joined_positions: int = 160
    channels: int = 256
    embedding: int = 64
    dropout: float = 0.4
    embedding_dropout: float = 0.1
    max_positions: int = 256
    #: Pieces and n-grams that occur less often are not learned; nor are more than so many.
    piece_at_least: int = 2
    most_pieces: int = 8_000
    n_gram_at_least: int = 2
    most_n_grams: int = 100_000
    #: What a text on the wrong side of a separator costs, beside the separator's own length. Of 1, 2 and 4 the best on
    #: a sixth of the train parts of `case_elements` and `problem_tags`, kept apart by whole documents.
    separator_cost: float = 4.0
    average_decay: float = 0.99
    #: The share of the epochs after which, without a better figure, training stops.
    patience_share: float = 0.5


@dataclass(frozen=True, slots=True)
class Part:
    """Encoded texts and what is right for them, (N, L)."""

    windows: Sequence[TextWindow]
    targets: Scores


def texts_per_epoch(train: Part, options: TrainOptions) -> int:
    """Return how many texts an epoch reads."""
    unlabelled = int((train.targets.sum(axis=1) == 0).sum())
    return len(train.windows) - unlabelled + math.ceil(unlabelled * options.unlabelled_share)


def batches_of(train: Part, options: TrainOptions, generator: torch.Generator) -> Iterator[Sequence[int]]:
    """Give the places of an epoch's texts in batches: at random, but with like lengths together."""
    has_label = torch.from_numpy(train.targets.sum(axis=1) > 0)
    order = torch.randperm(len(train.windows), generator=generator)
    labelled, unlabelled = order[has_label[order]], order[~has_label[order]]
    kept = torch.cat([labelled, unlabelled[: math.ceil(len(unlabelled) * options.unlabelled_share)]])
    drawn = kept[torch.randperm(len(kept), generator=generator)].tolist()
    batches: list[Sequence[int]] = []
    pool = options.batch_texts * POOL_BATCHES
    for start in range(0, len(drawn), pool):
        ranked = sorted(drawn[start : start + pool], key=lambda place: train.windows[place].length)
        batches.extend(ranked[at : at + options.batch_texts] for at in range(0, len(ranked), options.batch_texts))
    for number in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[number]


def lengthened(train: Part, batch: Sequence[int], options: TrainOptions) -> tuple[list[Numbers], Scores]:
    """Return the numbers of a batch and its targets, some short texts with another behind, and with its labels too.

    What a text is about does not change by what stands beside it; a network that is shown so learns less by heart.
    Random by the generator of the process, which the training loop seeds for every epoch.
    """
    places = list(batch)
    sequences, targets = [train.windows[place].numbers for place in places], train.targets[places]
    chosen = torch.rand(len(places)) < options.joined_share
    others = torch.randint(len(train.windows), (len(places),)).tolist()
    for row, other in enumerate(others):
        addition = train.windows[other].numbers
        if chosen[row] and len(sequences[row]) + len(addition) <= options.joined_positions:
            sequences[row] = np.concatenate([sequences[row], addition])
            targets[row] = np.maximum(targets[row], train.targets[other])
    return sequences, targets
