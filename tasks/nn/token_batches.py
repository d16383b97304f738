"""Cuts windows into batches by a token budget, longest first, and counts what padding costs. Runs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: Windows of one batch at most, whatever the budget: beyond this a kernel gains nothing more.
MAX_WINDOWS = 1024
#: A window shorter than this part of a batch's longest begins the next batch, …
LEAST_LENGTH = 0.75
#: … once the batch has this part of the budget: below it a device computes a small batch no faster than a larger one.
LEAST_FILL = 0.125


def cut_batches(lengths: Sequence[int], token_budget: int, max_windows: int = MAX_WINDOWS) -> list[list[int]]:
    """Return batches of indices, the longest windows first, each of at most `token_budget` padded positions.

    A window longer than the budget is a batch by itself. Where few windows make the lengths of a batch differ much, it
    ends before the budget does.

    >>> cut_batches([3, 9, 4], token_budget=9)
    [[1], [2, 0]]
    """
    least_fill = LEAST_FILL * token_budget
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and len(batches[-1]) < max_windows:
            # The first of a batch is its longest, to which all others are padded.
            longest, count = lengths[batches[-1][0]], len(batches[-1])
            alike = lengths[index] >= LEAST_LENGTH * longest or longest * count < least_fill
            if alike and longest * (count + 1) <= token_budget:
                batches[-1].append(index)
                continue
        batches.append([index])
    return batches


@dataclass(slots=True)
class BatchStatistics:
    """How well batches were filled, so far."""

    batches: int = 0
    windows: int = 0
    #: Positions that hold text, and positions computed.
    tokens: int = 0
    padded_tokens: int = 0
    #: The sum of the budgets under which the batches were cut.
    budget_tokens: int = 0
    forward_s: float = 0.0
    #: How often the device ran out of memory, or a batch had to be taken apart for a fault.
    out_of_memory: int = 0
    faults: int = 0

    def add(self, lengths: Sequence[int], token_budget: int, forward_s: float) -> None:
        """Count one batch that was computed."""
        self.batches += 1
        self.windows += len(lengths)
        self.tokens += sum(lengths)
        self.padded_tokens += max(lengths) * len(lengths)
        self.budget_tokens += max(token_budget, max(lengths) * len(lengths))
        self.forward_s += forward_s

    @property
    def padding_waste(self) -> float:
        """The share of computed positions that held no text."""
        return 1.0 - self.tokens / self.padded_tokens if self.padded_tokens else 0.0

    @property
    def batch_fill(self) -> float:
        """The share of the token budget that was computed."""
        return self.padded_tokens / self.budget_tokens if self.budget_tokens else 0.0
