"""A convolution over short stretches of pieces, and the strongest answer of each filter (Kim, arXiv 1408.5882).

Knows neither texts nor labels by name. A padded position cannot be the strongest answer, so that a result does not
depend on what else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

#: The number of a position that holds no piece.
PADDING = 0
#: … and of a piece that is not known, which dropped pieces are turned into.
UNKNOWN = 1
#: What is added to the answers at a position that holds no piece.
ABSENT = -1e9
#: The standard deviation of new embeddings: larger ones are learned by heart, smaller ones slowly.
EMBEDDING_SPREAD = 0.2


@dataclass(frozen=True, slots=True)
class TextCnnSizes:
    """How large a network is, and how much of it is dropped while it learns."""

    vocabulary: int
    labels: int
    embedding: int = 64
    #: Filters of each width.
    channels: int = 128
    #: How many pieces a filter sees.
    widths: tuple[int, ...] = (2, 3, 4)
    dropout: float = 0.4
    embedding_dropout: float = 0.1


class TextCnn(nn.Module):
    """Numbers of pieces in, a logit for each label out."""

    def __init__(self, sizes: TextCnnSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.embedding = nn.Embedding(sizes.vocabulary, sizes.embedding, padding_idx=PADDING)
        nn.init.normal_(self.embedding.weight, std=EMBEDDING_SPREAD)
        with torch.no_grad():
            self.embedding.weight[PADDING].zero_()
        self.convolutions = nn.ModuleList(nn.Conv1d(sizes.embedding, sizes.channels, width) for width in sizes.widths)
        self.output = nn.Linear(sizes.channels * len(sizes.widths), sizes.labels)

    def start_at(self, shares: Tensor) -> None:
        """Let the output begin at the labels' frequencies (L,): half the log odds, at which ZLPR begins calmly."""
        with torch.no_grad():
            self.output.bias.copy_(torch.logit(shares.clamp(1e-4, 1 - 1e-4)) / 2)
            self.output.weight.mul_(0.5)

    def forward(self, numbers: Tensor) -> Tensor:
        """Return logits (B, L) for numbers of pieces (B, T), padded with 0."""
        vectors = self._drop_dimensions(self.embedding(numbers)).transpose(1, 2)  # (B, E, T)
        # Added rather than multiplied: what is far below every answer can never be the strongest.
        absent = torch.zeros_like(numbers, dtype=vectors.dtype).masked_fill_(numbers == PADDING, ABSENT).unsqueeze(1)
        answers = [self._strongest(vectors, absent, convolution) for convolution in self.convolutions]
        strongest = torch.cat(answers, dim=1)  # (B, C · widths)
        logits: Tensor = self.output(functional.dropout(strongest, self.sizes.dropout, self.training))
        return logits

    def _drop_dimensions(self, vectors: Tensor) -> Tensor:
        """Drop dimensions of the embedding for a whole text at a time: its neighbours would tell a single one."""
        kept = torch.ones(vectors.shape[0], 1, vectors.shape[2], device=vectors.device, dtype=vectors.dtype)
        return vectors * functional.dropout(kept, self.sizes.embedding_dropout, self.training)

    def _strongest(self, vectors: Tensor, absent: Tensor, convolution: nn.Module) -> Tensor:
        width = int(convolution.kernel_size[0])  # type: ignore[index]
        before = (width - 1) // 2
        answers = convolution(functional.pad(vectors, (before, width - 1 - before))) + absent  # (B, C, T)
        # Rectified after the choice, which gives the same and touches one position instead of all.
        return functional.relu(answers.max(dim=2).values)  # (B, C)
