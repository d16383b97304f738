"""A network that reads the clauses of a document and scores every run of them as its summary.

The body is the extractor of SPACES (Su 2021, kexue.fm 8046): one vector a clause, six residual gated convolutions with
dilations 1, 2, 4, 8, 1, 1, a probability for every clause. A second head scores runs of neighbouring clauses. Pure
tensors: cuts no text and chooses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.nn.layers import GatedResidualConvolution

#: Lengths of runs are learned in buckets: ten for each time that 1 + length grows by e.
LENGTH_BUCKETS = 64
LENGTH_BUCKETS_PER_E = 10
#: The score of what is no run: beyond the end of the document.
NO_RUN = -1e9


@dataclass(frozen=True, slots=True)
class TaggerSettings:
    """The sizes of the network."""

    features: int
    buckets: int
    embedding: int = 32
    channels: int = 96
    run_channels: int = 48
    #: Clauses of the longest run.
    max_width: int = 14
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 1)
    dropout: float = 0.3
    #: Of the embeddings, which would otherwise learn the training documents by heart.
    embedding_dropout: float = 0.5
    #: Networks that are trained one by one, each with another seed, and whose scores are averaged.
    members: int = 3


@dataclass(frozen=True, slots=True)
class ClauseBatch:
    """Documents side by side, B of them, padded to T clauses."""

    #: All buckets of all clauses, one after the other, and where each clause's begin, (clauses,).
    buckets: Tensor
    offsets: Tensor
    #: (B, T, F); (B, T), characters; (B, T), true where there is a clause.
    features: Tensor
    chars: Tensor
    mask: Tensor

    def to(self, device: str | torch.device) -> ClauseBatch:
        """Return the same batch on a device."""
        return ClauseBatch(
            self.buckets.to(device),
            self.offsets.to(device),
            self.features.to(device),
            self.chars.to(device),
            self.mask.to(device),
        )


class ClauseTagger(nn.Module):
    """Scores the clauses of documents, and the runs of up to `max_width` of them."""

    #: Learned from the training documents, not by gradient.
    feature_mean: Tensor
    feature_deviation: Tensor

    def __init__(self, settings: TaggerSettings) -> None:
        super().__init__()
        self.settings = settings
        self.register_buffer("feature_mean", torch.zeros(settings.features))
        self.register_buffer("feature_deviation", torch.ones(settings.features))
        self.embedding = nn.EmbeddingBag(settings.buckets, settings.embedding, mode="mean")
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.embedding_dropout = nn.Dropout(settings.embedding_dropout)
        self.project = nn.Linear(settings.features + settings.embedding, settings.channels)
        self.convolutions = nn.ModuleList(
            GatedResidualConvolution(settings.channels, 3, dilation, settings.dropout)
            for dilation in settings.dilations
        )
        self.whole = nn.Linear(settings.channels, settings.channels)
        self.dropout = nn.Dropout(settings.dropout)
        self.keep = nn.Linear(settings.channels, 1)
        self.runs = RunScorer(settings)

    def forward(self, batch: ClauseBatch) -> tuple[Tensor, Tensor]:
        """Return the scores of runs, (B, T, W), and the logits of clauses, (B, T).

        Run (t, w) is the w + 1 clauses from t on; what reaches beyond the document is `NO_RUN`.
        """
        clauses = functional.gelu(self.project(self._inputs(batch)))  # (B, T, C)
        for convolution in self.convolutions:
            clauses = convolution(clauses, batch.mask)
        clauses = clauses * batch.mask.unsqueeze(-1)
        document = clauses.sum(dim=1) / batch.mask.sum(dim=1, keepdim=True).clamp(min=1)  # (B, C)
        document = torch.tanh(self.whole(document))
        clauses = self.dropout((clauses + document.unsqueeze(1)) * batch.mask.unsqueeze(-1))
        return self.runs(clauses, document, batch), self.keep(clauses).squeeze(-1)

    def _inputs(self, batch: ClauseBatch) -> Tensor:
        bags = self.embedding(batch.buckets, batch.offsets)  # (clauses, E)
        placed = bags.new_zeros(*batch.mask.shape, bags.shape[-1])
        placed[batch.mask] = bags
        features = (batch.features - self.feature_mean) / self.feature_deviation
        return torch.cat([features, self.embedding_dropout(placed)], dim=-1)


class ClauseTaggers(nn.Module):
    """Several taggers that give the mean of their scores: what one has learned by chance counts less."""

    def __init__(self, settings: TaggerSettings) -> None:
        super().__init__()
        self.members = nn.ModuleList(ClauseTagger(settings) for _ in range(settings.members))

    def forward(self, batch: ClauseBatch) -> tuple[Tensor, Tensor]:
        """Return the scores of runs, (B, T, W), and the logits of clauses, (B, T); see `ClauseTagger`."""
        runs, keep = zip(*(member(batch) for member in self.members), strict=True)
        return torch.stack(runs).mean(dim=0), torch.stack(keep).mean(dim=0)


class RunScorer(nn.Module):
    """Scores a run by its first clause, its last, the mean of all, and its length in clauses and characters."""

    def __init__(self, settings: TaggerSettings) -> None:
        super().__init__()
        self.width = settings.max_width
        self.first = nn.Linear(settings.channels, settings.run_channels)
        self.last = nn.Linear(settings.channels, settings.run_channels)
        self.inside = nn.Linear(settings.channels, settings.run_channels)
        self.size = nn.Linear(3, settings.run_channels)
        self.score = nn.Linear(settings.run_channels, 1)
        #: Of every clause: as a beginning, as an end, and as one more inside.
        self.parts = nn.Linear(settings.channels, 3)
        self.length = nn.Linear(settings.channels, LENGTH_BUCKETS)

    def forward(self, clauses: Tensor, document: Tensor, batch: ClauseBatch) -> Tensor:
        """(B, T, C), (B, C) -> (B, T, W)."""
        count = clauses.shape[1]
        steps = torch.arange(self.width, device=clauses.device)
        ends = torch.arange(count, device=clauses.device).unsqueeze(1) + steps  # (T, W), the last clause of every run
        chars = _sums(batch.chars.unsqueeze(-1), ends).squeeze(-1)  # (B, T, W)
        inside = _sums(self.inside(clauses) * batch.chars.unsqueeze(-1), ends) / chars.clamp(min=1).unsqueeze(-1)
        sizes = torch.stack([torch.log1p(chars) / 5, chars / 100, ((steps + 1) / 10).expand_as(chars)], dim=-1)
        hidden = self.first(clauses).unsqueeze(2) + _at(self.last(clauses), ends) + inside + self.size(sizes)
        parts = self.parts(clauses)
        scores = self.score(functional.gelu(hidden)).squeeze(-1)
        scores = scores + parts[..., :1] + _at(parts[..., 1:2], ends).squeeze(-1)
        scores = scores + _sums(parts[..., 2:], ends).squeeze(-1) + self._length_scores(document, chars)
        exists = _at(batch.mask.unsqueeze(-1).to(scores.dtype), ends).squeeze(-1) > 0
        masked: Tensor = scores.masked_fill(~exists, NO_RUN)
        return masked

    def _length_scores(self, document: Tensor, chars: Tensor) -> Tensor:
        """Return what a document thinks of lengths, (B, T, W)."""
        buckets = (torch.log1p(chars) * LENGTH_BUCKETS_PER_E).long().clamp(0, LENGTH_BUCKETS - 1)
        scores: Tensor = self.length(document).gather(1, buckets.flatten(1)).view(chars.shape)
        return scores


def _at(values: Tensor, places: Tensor) -> Tensor:
    """(B, T, C), (T, W) -> (B, T, W, C); zero beyond the last clause."""
    return functional.pad(values, (0, 0, 0, places.shape[1]))[:, places]


def _sums(values: Tensor, ends: Tensor) -> Tensor:
    """Return the sums over runs, (B, T, C), (T, W) -> (B, T, W, C)."""
    # One zero before, for the sum of nothing; W behind, for runs beyond the end.
    totals = functional.pad(values, (0, 0, 1, ends.shape[1])).cumsum(dim=1)
    return totals[:, ends + 1] - totals[:, : ends.shape[0]].unsqueeze(2)
