from __future__ import annotations

import torch

from tasks.nn.layers import GatedResidualConvolution


def layer(dilation: int = 2) -> GatedResidualConvolution:
    torch.manual_seed(0)
    made = GatedResidualConvolution(8, kernel=3, dilation=dilation).eval()
    with torch.no_grad():
        made.alpha.fill_(1.0)
    return made


def test_a_new_layer_is_the_identity() -> None:
    x = torch.randn(2, 5, 8)
    assert torch.equal(GatedResidualConvolution(8, 3, 1)(x, torch.ones(2, 5)), x)


def test_a_position_sees_its_neighbours_at_the_dilation_and_no_others() -> None:
    x = torch.zeros(1, 9, 8)
    changed = x.clone()
    changed[0, 4] = torch.randn(8)
    mask = torch.ones(1, 9)
    difference = (layer()(changed, mask) - layer()(x, mask)).abs().sum(dim=-1)[0]
    assert torch.nonzero(difference > 1e-6).flatten().tolist() == [2, 4, 6]


def test_what_stands_in_the_padding_changes_nothing_before_it() -> None:
    x = torch.randn(1, 6, 8)
    mask = torch.tensor([[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    other = x.clone()
    other[0, 4:] = 100.0
    made = layer()
    assert torch.equal(made(x, mask)[0, :4], made(other, mask)[0, :4])


def test_the_gate_and_the_content_are_learned() -> None:
    made = layer()
    made(torch.randn(1, 6, 8), torch.ones(1, 6)).sum().backward()
    assert made.convolution.weight.grad is not None
    assert made.convolution.weight.grad[:8].abs().sum() > 0
    assert made.convolution.weight.grad[8:].abs().sum() > 0
