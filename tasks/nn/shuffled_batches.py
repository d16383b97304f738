"""The order in which a training sees its examples: by chance, in batches of like length. Knows no data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

#: Batches are made of examples of like length, among this many batches' worth.
SORTED_BATCHES = 24


def shuffled_batches(lengths: Sequence[int], batch_size: int, generator: torch.Generator) -> Iterator[list[int]]:
    """Yield an epoch as indices: shuffled, sorted by length within stretches so that little is padded, shuffled again.

    The order depends on the lengths and the generator alone.
    """
    order = torch.randperm(len(lengths), generator=generator).tolist()
    stretch = batch_size * SORTED_BATCHES
    batches = []
    for start in range(0, len(order), stretch):
        part = sorted(order[start : start + stretch], key=lambda index: lengths[index])
        batches += [part[at : at + batch_size] for at in range(0, len(part), batch_size)]
    for place in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[place]
