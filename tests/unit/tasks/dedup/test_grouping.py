"""Groups against those that a plain comparison of all pairs finds, in whatever order documents come."""

from __future__ import annotations

import random
from collections import defaultdict
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from tasks.dedup.banding import Layout
from tasks.dedup.grouping import group_documents

LAYOUT = Layout(4, 2)
SIMILARITY = 0.75

#: (place, digest, signature) of a document.
Row = tuple[int, int, list[int]]
#: (place, group, number, text, similarity) of a member.
Member = tuple[int, int, int, int, float]


def grouped(rows: list[Row], layout: Layout = LAYOUT, similarity: float = SIMILARITY) -> list[Member]:
    places = np.array([place for place, _, _ in rows], np.int64)
    zeros = np.zeros(len(rows), np.int64)
    texts = np.array([[0, digest] for _, digest, _ in rows], np.uint64).reshape(-1, 2)
    numbers = np.array([signature for _, _, signature in rows], np.uint16).reshape(-1, layout.bands, layout.rows)
    members = group_documents((zeros, places, zeros), texts, lambda band: numbers[:, band], layout, similarity)
    columns: list[Any] = [members.group, members.number, members.text, members.similarity]
    return list(zip(places[members.document].tolist(), *(column.tolist() for column in columns), strict=True))


def plainly_grouped(rows: list[Row]) -> list[Member]:
    """Compare all pairs of texts, then walk from each document to all that it hangs together with."""
    rows = sorted(rows)
    neighbours: dict[int, set[int]] = defaultdict(set)
    for (left, one), (right, other) in combinations(enumerate(rows), 2):
        if one[1] == other[1] or is_near(one[2], other[2]):
            neighbours[left].add(right)
            neighbours[right].add(left)
    seen: set[int] = set()
    members: list[Member] = []
    group = 0
    for start in range(len(rows)):
        together, waiting = set(), [start]
        while waiting:
            one_row = waiting.pop()
            if one_row not in together:
                together.add(one_row)
                waiting += neighbours[one_row]
        if start in seen or len(together) == 1:
            continue
        seen |= together
        group += 1
        members += numbered([rows[number] for number in sorted(together)], group)
    return members


def numbered(rows: list[Row], group: int) -> list[Member]:
    digests = list(dict.fromkeys(digest for _, digest, _ in rows))
    return [
        (place, group, number, digests.index(digest) + 1, 1.0 if digest == rows[0][1] else alike(rows[0][2], signature))
        for number, (place, digest, signature) in enumerate(rows, start=1)
    ]


def alike(one: list[int], other: list[int]) -> float:
    return sum(left == right for left, right in zip(one, other, strict=True)) / len(one)


def is_near(one: list[int], other: list[int]) -> bool:
    shares_a_band = any(one[start : start + 2] == other[start : start + 2] for start in range(0, 8, 2))
    return shares_a_band and alike(one, other) >= SIMILARITY


def some_rows(seed: int, count: int = 60) -> list[Row]:
    """Return documents of few different numbers, so that many are alike; equal signatures often have equal digests."""
    source = random.Random(seed)
    signatures = [[source.randrange(3) for _ in range(8)] for _ in range(count // 3)]
    rows = []
    for place in source.sample(range(1000), count):
        which = source.randrange(len(signatures))
        rows.append((place, which, signatures[which]))
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_groups_are_those_of_a_comparison_of_all_pairs(seed: int) -> None:
    rows = some_rows(seed)
    expected = plainly_grouped(rows)
    assert grouped(rows) == expected
    assert expected


def test_the_order_in_which_documents_come_changes_nothing() -> None:
    rows = some_rows(5)
    expected = grouped(rows)
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        assert grouped(rows) == expected


def test_what_hangs_together_by_a_third_is_one_group() -> None:
    first, middle, last = [1] * 8, [1] * 6 + [2] * 2, [1] * 4 + [2] * 4
    assert [row[:3] for row in grouped([(0, 0, first), (1, 1, last)])] == []
    together = grouped([(0, 0, first), (1, 1, last), (2, 2, middle)])
    assert together == [(0, 1, 1, 1, 1.0), (1, 1, 2, 2, 0.5), (2, 1, 3, 3, 0.75)]


def test_equal_texts_are_a_group_whatever_their_signatures_cost_to_compare() -> None:
    rows = [(place, 7, [0] * 8) for place in range(300)]
    members = grouped(rows)
    assert [member[0] for member in members] == list(range(300))
    assert {member[1:2] + member[3:] for member in members} == {(1, 1, 1.0)}


def test_texts_that_share_a_band_and_are_not_alike_are_no_group() -> None:
    source = random.Random(3)
    rows = [(place, place, [9, 9] + [source.randrange(60_000) for _ in range(6)]) for place in range(200)]
    assert grouped(rows) == []


@pytest.mark.parametrize("rows", [[], [(4, 1, [1] * 8)]])
def test_of_none_or_one_there_are_no_groups(rows: list[Row]) -> None:
    assert grouped(rows) == []
