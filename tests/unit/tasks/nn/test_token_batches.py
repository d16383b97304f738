"""Batches by a token budget: everything once, nothing over the budget, little padding."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from tasks.nn.token_batches import BatchStatistics, cut_batches


@given(st.lists(st.integers(1, 600), max_size=300), st.integers(1, 5000), st.integers(1, 64))
def test_every_window_is_in_one_batch_and_no_batch_is_too_large(
    lengths: list[int], budget: int, max_windows: int
) -> None:
    batches = cut_batches(lengths, budget, max_windows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        longest = max(lengths[index] for index in batch)
        assert len(batch) <= max_windows
        assert len(batch) == 1 or longest * len(batch) <= budget


def test_the_longest_windows_come_first_so_that_a_device_too_small_shows_at_once() -> None:
    batches = cut_batches([5, 500, 50], token_budget=500)
    assert batches == [[1], [2, 0]]


def test_sorting_by_length_leaves_little_padding_where_the_order_of_the_file_leaves_much() -> None:
    numbers = random.Random(0)
    lengths = [int(numbers.lognormvariate(4, 0.9)) + 1 for _ in range(2000)]
    by_budget, in_order = BatchStatistics(), BatchStatistics()
    for batch in cut_batches(lengths, 4096):
        by_budget.add([lengths[index] for index in batch], 4096, 0.0)
    for start in range(0, len(lengths), 32):
        in_order.add(lengths[start : start + 32], 4096, 0.0)
    assert by_budget.padding_waste < 0.1
    assert in_order.padding_waste > 0.5
    assert by_budget.batch_fill > 0.8
    assert by_budget.tokens == in_order.tokens == sum(lengths)


def test_few_windows_of_many_lengths_are_not_padded_to_the_longest() -> None:
    lengths = [int(12 * 1.06**number) for number in range(64)]
    statistics = BatchStatistics()
    for batch in cut_batches(lengths, 8192):
        statistics.add([lengths[index] for index in batch], 8192, 0.0)
    assert statistics.padding_waste < 0.2


def test_no_batch_has_no_waste() -> None:
    assert (BatchStatistics().padding_waste, BatchStatistics().batch_fill) == (0.0, 0.0)
