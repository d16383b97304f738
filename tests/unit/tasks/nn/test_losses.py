from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tasks.nn.losses import NO_LABEL, binary_cross_entropy, mean_loss, soft_zlpr, sparse_zlpr, zlpr

LABELS = 7


def indices_of(targets: Tensor) -> Tensor:
    """Return targets of 0 and 1 as padded indices, the padding in front in every second row."""
    rows = []
    for number, row in enumerate(targets):
        right = row.nonzero().flatten().tolist()
        filling = [NO_LABEL] * (LABELS - len(right))
        rows.append(filling + right if number % 2 else right + filling)
    return torch.tensor(rows)


logits = st.lists(st.lists(st.floats(-60, 60, width=32), min_size=LABELS, max_size=LABELS), min_size=1, max_size=4)


@settings(max_examples=60, deadline=None)
@given(logits, st.integers(0, 2**31))
def test_the_three_forms_agree(rows: list[list[float]], seed: int) -> None:
    scores = torch.tensor(rows)
    targets = (torch.rand(scores.shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()
    dense = zlpr(scores, targets)
    torch.testing.assert_close(sparse_zlpr(scores, indices_of(targets)), dense, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(soft_zlpr(scores, targets), dense, rtol=1e-5, atol=1e-5)


def test_the_forms_agree_in_their_gradients() -> None:
    targets = torch.tensor([[1.0, 0, 0, 1, 0, 0, 0], [0.0] * LABELS, [1.0] * LABELS])
    gradients = []
    for loss, wanted in ((zlpr, targets), (soft_zlpr, targets), (sparse_zlpr, indices_of(targets))):
        scores = torch.randn(3, LABELS, generator=torch.Generator().manual_seed(1)).requires_grad_()
        loss(scores, wanted).sum().backward()  # type: ignore[no-untyped-call]
        assert scores.grad is not None
        gradients.append(scores.grad)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients[0], gradients[2], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("right", [0, 1, 3, 100])
def test_logits_of_zero_cost_what_the_formula_says(right: int) -> None:
    targets = torch.zeros(1, 100)
    targets[:, :right] = 1.0
    expected = math.log(1 + 100 - right) + math.log(1 + right)
    assert zlpr(torch.zeros(1, 100), targets).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [40.0, 1e4, 1e30])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_extreme_logits_give_numbers_and_so_do_their_gradients(size: float, sign: float) -> None:
    targets = torch.tensor([[1.0, 0, 0, 0, 1, 0, 0], [0.0] * LABELS])
    for loss, wanted in (
        (zlpr, targets),
        (soft_zlpr, targets),
        (sparse_zlpr, indices_of(targets)),
        (binary_cross_entropy, targets),
    ):
        scores = torch.full((2, LABELS), -5.0)
        scores[:, 0] = sign * size
        scores.requires_grad_()
        value = loss(scores, wanted)
        value.sum().backward()  # type: ignore[no-untyped-call]
        assert value.isfinite().all()
        assert scores.grad is not None
        assert scores.grad.isfinite().all()


def test_one_right_label_that_outweighs_all_leaves_the_wrong_ones_their_share() -> None:
    scores = torch.tensor([[40.0, -5.0, -5.0, -5.0]])
    expected = math.log1p(3 * math.exp(-5)) + math.log1p(math.exp(-40))
    assert sparse_zlpr(scores, torch.tensor([[0]])).item() == pytest.approx(expected, abs=1e-5)


def test_a_label_named_twice_counts_once() -> None:
    scores = torch.randn(1, LABELS)
    torch.testing.assert_close(
        sparse_zlpr(scores, torch.tensor([[2, 2, 4]])), sparse_zlpr(scores, torch.tensor([[2, 4, NO_LABEL]]))
    )


def test_masked_labels_do_not_count() -> None:
    scores = torch.randn(2, LABELS, generator=torch.Generator().manual_seed(3))
    targets = torch.tensor([[1.0, 0, 1, 0, 0, 1, 0], [0.0, 0, 0, 0, 1, 0, 0]])
    mask = torch.ones(2, LABELS)
    mask[:, 4:] = 0.0
    for loss in (zlpr, soft_zlpr, binary_cross_entropy):
        torch.testing.assert_close(loss(scores, targets, mask), loss(scores[:, :4], targets[:, :4]))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_a_soft_label_is_met_at_the_logit_whose_doubled_sigmoid_it_is(share: float) -> None:
    candidates = torch.linspace(-3, 3, 6001).unsqueeze(1)
    best = candidates[soft_zlpr(candidates, torch.full_like(candidates, share)).argmin()]
    assert torch.sigmoid(2 * best).item() == pytest.approx(share, abs=1e-3)


def test_half_precision_is_computed_in_full() -> None:
    scores = torch.randn(3, LABELS).to(torch.bfloat16)
    targets = torch.eye(3, LABELS)
    assert zlpr(scores, targets).dtype is torch.float32
    torch.testing.assert_close(zlpr(scores, targets), zlpr(scores.float(), targets))


def test_binary_cross_entropy_without_its_products_is_zlpr_for_one_label() -> None:
    scores, targets = torch.tensor([[1.5], [-0.5]]), torch.tensor([[1.0], [0.0]])
    torch.testing.assert_close(binary_cross_entropy(scores, targets), zlpr(scores, targets))
    torch.testing.assert_close(mean_loss("bce")(scores, targets), binary_cross_entropy(scores, targets).mean())
