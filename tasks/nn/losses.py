"""Losses of multi-label classification: ZLPR in three forms that agree, and binary cross-entropy to compare with.

ZLPR (Su et al., "ZLPR: A Novel Loss for Multi-label Classification", arXiv 2208.02955): log(1 + sum of exp(s) over the
labels that are wrong) + log(1 + sum of exp(-s) over those that are right). A label is decided when its logit is above
0, and the optimum for a probability t is t = 1 / (1 + exp(-2 s)). Every function computes in fp32 and returns the loss
of each row (B,). Chooses no loss and trains nothing.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

#: What fills up the indices of a row with fewer right labels than others.
NO_LABEL = -1
#: Logits (B, L) and targets (B, L) in, the loss of each row (B,) out.
RowLoss = Callable[[Tensor, Tensor], Tensor]


def zlpr(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ZLPR for targets (B, L) of 0 and 1; labels where `mask` (B, L) is false do not count."""
    scores = logits.float()
    right = targets > 0
    counts = torch.ones_like(right) if mask is None else mask.bool()
    return _log_one_plus_sum(scores, counts & ~right) + _log_one_plus_sum(-scores, counts & right)


def sparse_zlpr(logits: Tensor, positives: Tensor) -> Tensor:
    """Return ZLPR for the indices (B, P) of the labels that are right, filled up with `NO_LABEL`.

    A label may be named twice. The right labels are taken out of the sum over the wrong ones, and not subtracted from
    a sum over all: where one right label outweighs the rest, the difference would be 0 and its logarithm no number.
    """
    scores = logits.float()
    # One more column takes what the filling points to.
    places = torch.where(positives == NO_LABEL, scores.shape[1], positives)
    right = torch.zeros(scores.shape[0], scores.shape[1] + 1, dtype=torch.bool, device=scores.device)
    right = right.scatter(1, places, value=True)[:, :-1]  # (B, L)
    return _log_one_plus_sum(scores, ~right) + _log_one_plus_sum(-scores, right)


def soft_zlpr(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return ZLPR for targets (B, L) between 0 and 1, each label weighing on both sides."""
    scores = logits.float()
    share = targets.float()
    counts = torch.ones_like(share, dtype=torch.bool) if mask is None else mask.bool()
    is_right, is_wrong = counts & (share > 0), counts & (share < 1)
    # Where a weight is 0 the label is left out; the logarithm is taken of a 1 there, so that no gradient is infinite.
    right = -scores + torch.where(is_right, share, 1.0).log()
    wrong = scores + torch.where(is_wrong, 1.0 - share, 1.0).log()
    return _log_one_plus_sum(wrong, is_wrong) + _log_one_plus_sum(right, is_right)


def _log_one_plus_sum(scores: Tensor, counts: Tensor) -> Tensor:
    """Return log(1 + the sum of exp(score) over the labels that count) of each row."""
    kept = scores.masked_fill(~counts, -torch.inf)
    # The 0 is the 1 of the formula; it keeps the logarithm finite where no label counts.
    return functional.pad(kept, (1, 0), value=0.0).logsumexp(dim=1)


def binary_cross_entropy(logits: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return the binary cross-entropy of targets (B, L), summed over the labels as ZLPR is."""
    losses = functional.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    return (losses if mask is None else losses * mask).sum(dim=1)


#: The losses that a user can name.
LOSSES: dict[str, RowLoss] = {"zlpr": zlpr, "bce": binary_cross_entropy}
#: What makes the probability 1 / (1 + exp(-scale * logit)) of a logit, where the loss is at its optimum.
NATURAL_SCALE = {"zlpr": 2.0, "bce": 1.0}


def mean_loss(name: str) -> RowLoss:
    """Return the mean over a batch of the loss of a name, `zlpr` or `bce`."""
    rows = LOSSES[name]
    return lambda logits, targets: rows(logits, targets).mean()
