"""The arithmetic of a report: laws that data follow exactly are found, and nothing is lost in coarser bins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.report import shapes


def test_a_power_law_is_found_in_points_that_follow_it() -> None:
    law = shapes.fit_power_law([(x, 300 * x**-1.25) for x in (1, 2, 5, 10, 100, 5000)])
    assert law is not None
    assert (law.scale, law.exponent, law.r_squared) == pytest.approx((300, -1.25, 1))
    assert law.at(16) == pytest.approx(300 / 32)


@pytest.mark.parametrize("points", [[], [(1, 1)] * 9, [(1, 2), (2, 1)], [(x, 7) for x in range(1, 9)]])
def test_points_that_say_nothing_have_no_law(points: list[tuple[float, float]]) -> None:
    assert shapes.fit_power_law(points) is None


def test_ranks_have_the_counts_of_a_sorted_list() -> None:
    assert shapes.rank_points([(7, 1), (2, 2)]) == [(1, 7), (2, 2), (3, 2)]
    assert shapes.rank_points([]) == []


@given(st.lists(st.integers(1, 50), min_size=1, max_size=3000))
def test_every_point_stands_where_it_would_in_the_sorted_counts(counts: list[int]) -> None:
    spectrum = sorted(((count, counts.count(count)) for count in set(counts)), reverse=True)
    points = shapes.rank_points(spectrum, limit=40)
    ordered = sorted(counts, reverse=True)
    assert points == [(rank, ordered[rank - 1]) for rank, _ in points]
    assert (points[0][0], points[-1][0]) == (1, len(counts))
    assert len(points) <= 40


def nested_bin(characters: int) -> tuple[int, int]:
    """Return the bin in which a length is counted: its own below 100, else one of two significant digits."""
    width = 10 ** max(0, len(str(characters)) - 2)
    return characters // width * width, characters // width * width + width - 1


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=200))
def test_coarser_bins_lose_no_document_and_cut_no_bin(lengths: list[int]) -> None:
    found = sorted({nested_bin(length) for length in lengths})
    bins = [(low, high, sum(low <= length <= high for length in lengths)) for low, high in found]
    coarse, longer = shapes.coarser_bins(bins)
    assert sum(number for _, _, number in coarse) + longer == len(lengths)
    for low, high, number in coarse:
        assert number == sum(low <= length <= high for length in lengths)
    assert len({high - low for low, high, _ in coarse}) == 1


def test_the_median_lies_in_its_bin() -> None:
    bins = [(1, 1, 5), (2, 2, 1), (10, 19, 4)]
    assert shapes.quantile_bin(bins, 0.5) == (1, 1, 5)
    assert shapes.quantile_bin(bins, 0.6) == (2, 2, 1)
    assert shapes.quantile_bin(bins, 1.0) == (10, 19, 4)


def test_a_word_that_is_spread_as_all_tokens_are_does_not_change() -> None:
    assert shapes.unevenness([10, 20, 70], [0.1, 0.2, 0.7]) == pytest.approx(0)
    assert shapes.unevenness([100, 0], [0.5, 0.5]) == pytest.approx(200 * math.log(2))


def test_months_are_filled_up_and_added_up() -> None:
    assert shapes.all_months(202411, 202502) == [202411, 202412, 202501, 202502]
    assert shapes.years_of({202412: 1, 202501: 2, 202502: 3}) == {2024: 1, 2025: 5}


@given(
    st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 500), st.integers(0, 1000)), min_size=1, max_size=30),
    st.integers(1, 60),
)
def test_throughput_adds_up_to_all_documents(shards: list[tuple[float, float, int]], steps: int) -> None:
    times = [(begin, begin + length, documents) for begin, length, documents in shards]
    found = shapes.throughput(times, steps)
    length_s = max(end for _, end, _ in times) - min(begin for begin, _, _ in times)
    if length_s > 1e-6:
        documents = sum((end - begin) * rate for begin, end, rate in found)
        assert documents == pytest.approx(sum(one[2] for one in times), abs=1e-3)


@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=50))
def test_every_duration_falls_into_one_of_a_few_round_bins(durations_s: list[float]) -> None:
    found = shapes.duration_bins(durations_s)
    assert sum(number for _, _, number in found) == len(durations_s)
    assert len(found) <= 30


def test_nothing_that_ran_gives_nothing_to_draw() -> None:
    assert shapes.throughput([]) == []
    assert shapes.duration_bins([]) == []
