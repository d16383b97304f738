"""One linear separator a label over sparse features, with a soft margin: a support vector machine, fitted as a whole.

Minimizes |W|² / 2 + cost · the sum of max(0, 1 - y (x W + b))² with y of +1 and -1, as LIBLINEAR's L2 loss does (Fan et
al., JMLR 9, 2008), by L-BFGS. Nothing in it is random. Knows no texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

#: How many earlier steps L-BFGS remembers.
MEMORY = 8


@dataclass(frozen=True, slots=True)
class SparseRows:
    """A matrix (N, M) of which each row names its columns that are not 0."""

    #: (K,) the columns, row after row.
    columns: Tensor
    #: (N,) where each row begins in them.
    starts: Tensor
    #: (K,) the values.
    values: Tensor
    width: int

    @staticmethod
    def of(rows: Sequence[tuple[NDArray[np.int64], NDArray[np.float32]]], width: int) -> SparseRows:
        """Return the matrix of rows of (columns, values)."""
        starts = np.cumsum([0, *(len(columns) for columns, _ in rows)])[:-1]
        columns = np.concatenate([np.zeros(0, np.int64), *(columns for columns, _ in rows)])
        values = np.concatenate([np.zeros(0, np.float32), *(values for _, values in rows)])
        return SparseRows(torch.from_numpy(columns), torch.from_numpy(starts), torch.from_numpy(values), width)

    def times(self, dense: Tensor) -> Tensor:
        """Return the product (N, L) with a matrix (M, L)."""
        return functional.embedding_bag(
            self.columns, dense, self.starts, mode="sum", per_sample_weights=self.values.to(dense.dtype)
        )

    def transposed(self) -> SparseRows:
        """Return the matrix (M, N)."""
        ends = torch.cat([self.starts[1:], torch.tensor([len(self.columns)])])
        rows = torch.repeat_interleave(torch.arange(len(self.starts)), ends - self.starts)
        order = torch.argsort(self.columns, stable=True)
        counts = torch.bincount(self.columns, minlength=self.width)
        starts = torch.cumsum(counts, 0) - counts
        return SparseRows(rows[order], starts, self.values[order], len(self.starts))


def fit_separators(rows: SparseRows, targets: Tensor, cost: float = 1.0, steps: int = 60) -> tuple[Tensor, Tensor]:
    """Return weights (M, L) and biases (L,) for targets (N, L) of 0 and 1."""
    signs = targets.float() * 2.0 - 1.0
    across = rows.transposed()
    weight = torch.zeros(rows.width, targets.shape[1])
    bias = torch.zeros(targets.shape[1])
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, history_size=MEMORY, line_search_fn="strong_wolfe", tolerance_change=1e-7
    )

    def objective() -> float:
        short = (1.0 - signs * (rows.times(weight) + bias)).clamp(min=0.0)  # (N, L)
        slope = -2.0 * cost * signs * short
        # By hand: the gradient of a sparse product is a sparse product again.
        weight.grad = across.times(slope) + weight
        bias.grad = slope.sum(0) + bias
        total = (weight.square().sum() + bias.square().sum()) / 2 + cost * short.square().sum()
        return float(total)

    optimizer.step(objective)  # type: ignore[no-untyped-call]
    return weight, bias
