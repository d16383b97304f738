from __future__ import annotations

import numpy as np
import torch

from tasks.nn.sparse_linear import SparseRows, fit_separators


def rows_of(dense: torch.Tensor) -> SparseRows:
    rows = [(row.nonzero().flatten().numpy(), row[row != 0].numpy()) for row in dense]
    return SparseRows.of(rows, dense.shape[1])


def example() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    dense = torch.randn(12, 6, generator=generator)
    dense[torch.rand(12, 6, generator=generator) < 0.5] = 0.0
    dense[3] = 0.0
    return dense


def test_a_sparse_product_is_the_dense_one_also_transposed() -> None:
    dense = example()
    wide, tall = torch.randn(6, 3), torch.randn(12, 3)
    torch.testing.assert_close(rows_of(dense).times(wide), dense @ wide)
    torch.testing.assert_close(rows_of(dense).transposed().times(tall), dense.T @ tall)


def test_separators_reach_the_minimum_of_their_objective() -> None:
    dense = example()
    targets = (torch.arange(12)[:, None] % torch.tensor([2, 3]) == 0).float()
    weight, bias = fit_separators(rows_of(dense), targets, cost=0.7)
    weight.requires_grad_()
    bias.requires_grad_()
    signs = targets * 2 - 1
    short = (1 - signs * (dense @ weight + bias)).clamp(min=0)
    ((weight.square().sum() + bias.square().sum()) / 2 + 0.7 * short.square().sum()).backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert weight.grad.abs().max() < 1e-2


def test_separable_texts_are_separated() -> None:
    dense = torch.eye(8)[torch.arange(64) % 8]
    targets = (torch.arange(64)[:, None] % 8 == torch.arange(3)).float()
    weight, bias = fit_separators(rows_of(dense), targets, cost=10.0)
    assert np.array_equal((dense @ weight + bias > 0).numpy(), targets.numpy() > 0)
