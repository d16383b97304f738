"""The network that points at spans: a score for every span of a text, over which one softmax goes. Knows no text.

Characters and a few features a position go through residual gated dilated convolutions (the encoder of SPACES). A
span's score is a score of its start, one of its end, the product of a vector of each, the sum of how much each
position belongs in a title, and a learned bias for its width. Nothing is generated: a span is a copy by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.nn.layers import GatedResidualConvolution

#: The score of a span that may not be; far below any score, and finite, so that no arithmetic turns it into NaN.
FORBIDDEN = -1e4
#: What stands for an unknown character, and for one that is hidden in training.
UNKNOWN = 1
#: Dropout inside the convolutions, as a part of that at the input and before the scores.
LAYER_DROPOUT = 1 / 3


@dataclass(frozen=True, slots=True)
class SpanPointerSettings:
    """The sizes of a network."""

    #: Entries of the vocabulary of characters, padding (0) and unknown (1) among them.
    characters: int
    #: Real-valued features of each position.
    features: int
    channels: int = 160
    #: Of the vectors of starts and ends.
    pair_channels: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 1)
    kernel: int = 3
    #: Characters of the shortest and of the longest span.
    min_width: int = 4
    max_width: int = 48
    #: Independent encoders, whose scores are averaged.
    towers: int = 1


@dataclass(frozen=True, slots=True)
class SpanBatch:
    """Windows of text, padded to the longest with zeros."""

    #: (B, T), int: numbers of characters.
    characters: Tensor
    #: (B, T, F).
    features: Tensor
    #: (B, T), int: how wide a span that starts here may be; 0 where none may start.
    room: Tensor
    #: (B, T), bool: whether a span may end here.
    may_end: Tensor

    def to(self, device: torch.device | str) -> Self:
        """Return it on a device."""
        tensors = (self.characters, self.features, self.room, self.may_end)
        return type(self)(*(tensor.to(device, non_blocking=True) for tensor in tensors))


class SpanTower(nn.Module):
    """One encoder with its scores."""

    def __init__(self, settings: SpanPointerSettings, dropout: float) -> None:
        """Initialize at random; the caller seeds."""
        super().__init__()
        channels = settings.channels
        self.pair_channels = settings.pair_channels
        self.max_width = settings.max_width
        self.embedding = nn.Embedding(settings.characters, channels, padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.features = nn.Linear(settings.features, channels)
        self.norm = nn.LayerNorm(channels)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            GatedResidualConvolution(channels, settings.kernel, dilation, dropout * LAYER_DROPOUT)
            for dilation in settings.dilations
        )
        self.scores = nn.Linear(channels, 3 + 2 * settings.pair_channels)
        # Small at first: sums over a whole span would else make the first steps' losses far worse than an even guess.
        nn.init.normal_(self.scores.weight, std=0.02)
        nn.init.zeros_(self.scores.bias)
        self.width_bias = nn.Parameter(torch.zeros(settings.max_width))

    def forward(self, characters: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scores of all spans (B, T, W), allowed or not, and of each position's membership (B, T)."""
        mask = (characters != 0).to(features.dtype)
        x = self.dropout(self.norm(self.embedding(characters) + self.features(features)))  # (B, T, C)
        for layer in self.layers:
            x = layer(x, mask)
        scores = self.scores(self.dropout(x) * mask.unsqueeze(-1)).float()
        start, end, member, starts, ends = scores.split([1, 1, 1, self.pair_channels, self.pair_channels], dim=-1)
        member = member.squeeze(-1)
        products = torch.bmm(starts, ends.transpose(1, 2)) / self.pair_channels**0.5  # (B, T, T)
        total = _band(products, self.max_width) + start + self._ahead(end.squeeze(-1))
        return total + self._ahead(member).cumsum(dim=-1) + self.width_bias, member

    def _ahead(self, values: Tensor) -> Tensor:
        """Return for each position its value and those of the next W - 1 positions: (B, T) -> (B, T, W)."""
        return functional.pad(values, (0, self.max_width - 1)).unfold(1, self.max_width, 1)


class SpanPointer(nn.Module):
    """The scores of all spans of a batch of windows."""

    def __init__(self, settings: SpanPointerSettings, dropout: float = 0.0, character_dropout: float = 0.0) -> None:
        """`character_dropout` is the share of characters that is hidden in training."""
        super().__init__()
        self.settings = settings
        self.character_dropout = character_dropout
        self.towers = nn.ModuleList(SpanTower(settings, dropout) for _ in range(settings.towers))

    def tower_scores(self, batch: SpanBatch) -> list[tuple[Tensor, Tensor]]:
        """Return for each tower the scores of spans (B, T, W), forbidden ones at `FORBIDDEN`, and of members (B, T)."""
        allowed = self.allowed(batch)
        return [
            (scores.masked_fill(~allowed, FORBIDDEN), member)
            for scores, member in (tower(self._hidden(batch.characters), batch.features) for tower in self.towers)
        ]

    def forward(self, batch: SpanBatch) -> Tensor:
        """Return the score of the span of width w + 1 that starts at t, shape (B, T, W)."""
        return torch.stack([scores for scores, _ in self.tower_scores(batch)]).mean(dim=0)

    def allowed(self, batch: SpanBatch) -> Tensor:
        """Return which spans may be, shape (B, T, W)."""
        width = torch.arange(1, self.settings.max_width + 1, device=batch.room.device)
        ends = functional.pad(batch.may_end, (0, self.settings.max_width - 1)).unfold(1, self.settings.max_width, 1)
        return ends & (width <= batch.room.unsqueeze(-1)) & (width >= self.settings.min_width)

    def _hidden(self, characters: Tensor) -> Tensor:
        if not self.training or not self.character_dropout:
            return characters
        hidden = (torch.rand(characters.shape, device=characters.device) < self.character_dropout) & (characters != 0)
        return characters.masked_fill(hidden, UNKNOWN)


def soft_target_loss(scores: Tensor, places: Tensor, shares: Tensor) -> Tensor:
    """Return the mean cross entropy of the distribution over spans with a soft target, a scalar.

    `scores` (B, T, W); `places` (B, K) are flat indices into T x W, `shares` (B, K) their shares of the target.
    """
    logarithms = scores.flatten(1).float().log_softmax(dim=1)  # (B, T * W)
    return -(logarithms.gather(1, places) * shares).sum(dim=1).mean()


def best_spans(scores: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return starts, ends (behind the last position) and scores of the best spans, each (B, K), the best first."""
    width = scores.shape[-1]
    values, places = scores.flatten(1).topk(min(count, scores.shape[1] * width), dim=1)
    starts = places // width
    return starts, starts + places % width + 1, values


def _band(products: Tensor, width: int) -> Tensor:
    """Return for each row the entry on the diagonal and the next W - 1 to its right: (B, T, T) -> (B, T, W)."""
    padded = functional.pad(products, (0, width))  # (B, T, T + W)
    batch, row, column = padded.stride()
    shape = (products.shape[0], products.shape[1], width)
    return padded.as_strided(shape, (batch, row + column, column), padded.storage_offset())
