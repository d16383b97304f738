from __future__ import annotations

import torch

from tasks.nn.text_cnn import TextCnn, TextCnnSizes

SIZES = TextCnnSizes(vocabulary=50, labels=4, embedding=8, channels=16)


def network() -> TextCnn:
    torch.manual_seed(0)
    return TextCnn(SIZES).eval()


def test_padding_changes_nothing() -> None:
    numbers = torch.tensor([[5, 9, 3, 8]])
    padded = torch.nn.functional.pad(numbers, (0, 30))
    with torch.inference_mode():
        torch.testing.assert_close(network()(padded), network()(numbers), rtol=0, atol=1e-6)


def test_a_text_of_one_piece_has_logits() -> None:
    with torch.inference_mode():
        assert network()(torch.tensor([[7]])).shape == (1, 4)


def test_the_order_of_pieces_matters() -> None:
    with torch.inference_mode():
        forwards, backwards = network()(torch.tensor([[5, 9, 3, 8], [8, 3, 9, 5]]))
    assert (forwards - backwards).abs().max() > 1e-3


def test_training_starts_at_the_frequencies_of_the_labels() -> None:
    shares = torch.tensor([0.01, 0.5, 0.0, 0.9])
    net = network()
    net.start_at(shares)
    expected = torch.logit(shares.clamp(1e-4, 1 - 1e-4)) / 2
    torch.testing.assert_close(net.output.bias.detach(), expected)


def test_dropout_is_for_training_only() -> None:
    net, numbers = network(), torch.tensor([[5, 9, 3, 8]])
    with torch.inference_mode():
        assert torch.equal(net(numbers), net(numbers))
        net.train()
        assert not torch.equal(net(numbers), net(numbers))
