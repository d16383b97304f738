"""Counts by month, against a plain loop."""

from __future__ import annotations

from collections import Counter
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.count.month_counts import MonthCounts
from tasks.text.word_numbers import by_text

#: Documents, given as a month and the numbers of their tokens.
BATCHES = st.lists(
    st.lists(st.tuples(st.sampled_from([0, 202401, 202402]), st.lists(st.integers(1, 5), max_size=6)), max_size=4),
    max_size=4,
)


def _count(counts: MonthCounts, batch: list[tuple[int, list[int]]]) -> None:
    numbers = [number for _, tokens in batch for number in (*tokens, 0)][:-1]
    counts.add(by_text(np.array(numbers, np.int64)), np.array([month for month, _ in batch], np.int64))


@pytest.mark.parametrize("pending_rows", [1, 1_000])
@given(batches=BATCHES)
def test_counts_by_month_equal_a_plain_loop(pending_rows: int, batches: list[list[tuple[int, list[int]]]]) -> None:
    counted: Counter[tuple[int, int]] = Counter()
    documents: Counter[tuple[int, int]] = Counter()
    counts = MonthCounts()
    with patch("tasks.count.month_counts.PENDING_ROWS", pending_rows):
        for batch in batches:
            _count(counts, batch)
    for month, tokens in (document for batch in batches for document in batch):
        counted.update((month, number) for number in tokens)
        documents.update({(month, number) for number in tokens})
    rows = counts.rows()
    keys = list(zip(rows.months.tolist(), rows.numbers.tolist(), strict=True))
    assert keys == sorted(counted)
    assert rows.counts.tolist() == [counted[key] for key in keys]
    assert rows.documents.tolist() == [documents[key] for key in keys]


def test_what_is_not_kept_is_gone_from_every_month() -> None:
    counts = MonthCounts()
    _count(counts, [(202401, [1, 2, 2]), (202402, [2, 3])])
    rows = counts.kept(np.array([False, True, False, True])).rows()
    assert (rows.numbers.tolist(), rows.months.tolist(), rows.counts.tolist()) == ([1, 3], [202401, 202402], [1, 1])
