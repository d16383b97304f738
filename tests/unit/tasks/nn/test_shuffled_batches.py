from __future__ import annotations

import torch

from tasks.nn.shuffled_batches import SORTED_BATCHES, shuffled_batches


def epoch(lengths: list[int], seed: int) -> list[list[int]]:
    return list(shuffled_batches(lengths, 4, torch.Generator().manual_seed(seed)))


def test_an_epoch_has_every_example_once_in_batches_of_like_length() -> None:
    lengths = [number * 37 % 101 for number in range(4 * SORTED_BATCHES)]
    batches = epoch(lengths, seed=1)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    spread = [max(lengths[index] for index in batch) - min(lengths[index] for index in batch) for batch in batches]
    assert max(spread) <= 5
    assert batches != sorted(batches, key=lambda batch: lengths[batch[0]])


def test_the_seed_alone_decides_the_order() -> None:
    lengths = list(range(50))
    assert epoch(lengths, seed=1) == epoch(lengths, seed=1)
    assert epoch(lengths, seed=1) != epoch(lengths, seed=2)
