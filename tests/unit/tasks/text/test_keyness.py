from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text.keyness import Divergence, bayes_factor, log_likelihood, log_ratio, p_value
from tests.support.availability import need_module

COUNTS = st.integers(0, 10**6)
SIZES = st.integers(10**6, 10**9)


# scipy is imported by the first example.
@settings(max_examples=50, deadline=None)
@given(COUNTS, COUNTS.filter(bool), SIZES, SIZES)
def test_the_log_likelihood_and_its_p_are_scipys(count_a: int, count_b: int, tokens_a: int, tokens_b: int) -> None:
    stats = need_module("scipy.stats")
    share = (count_a + count_b) / (tokens_a + tokens_b)
    expected = stats.power_divergence(
        [count_a, count_b], [share * tokens_a, share * tokens_b], lambda_="log-likelihood"
    )
    found = log_likelihood(count_a, count_b, tokens_a, tokens_b)
    # Equal frequencies cancel out, all but the rounding of their terms.
    assert found == pytest.approx(max(0.0, expected.statistic), rel=1e-6, abs=1e-6)
    assert p_value(found) == pytest.approx(stats.chi2.sf(found, 1), rel=1e-9)


def test_a_word_of_one_corpus_alone_is_surprising_and_an_even_one_is_not() -> None:
    assert log_likelihood(0, 0, 10, 10) == 0.0
    assert log_likelihood(7, 7, 1000, 1000) == 0.0
    # Two occurrences, both in one of two equal corpora: 2 * 2 * ln 2.
    assert log_likelihood(2, 0, 1000, 1000) == pytest.approx(4 * math.log(2))
    assert log_likelihood(30, 10, 500, 900) == pytest.approx(log_likelihood(10, 30, 900, 500))


def test_the_log_ratio_doubles_by_one_and_takes_nothing_for_half_an_occurrence() -> None:
    assert log_ratio(40, 20, 1000, 1000) == pytest.approx(1.0)
    assert log_ratio(5, 40, 1000, 1000) == pytest.approx(-3.0)
    assert log_ratio(6, 0, 1000, 1000) == pytest.approx(math.log2(12))
    assert log_ratio(0, 8, 2000, 1000) == pytest.approx(-5.0)


def test_evidence_weighs_less_in_larger_corpora() -> None:
    assert bayes_factor(20.0, 1000) == pytest.approx(20.0 - math.log(1000))
    assert bayes_factor(10.0, 10**6) < 0 < bayes_factor(10.0, 10**3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=1, max_size=30))
def test_the_divergence_is_scipys(counts: list[tuple[int, int]]) -> None:
    distance = need_module("scipy.spatial.distance")
    first, second = [count for count, _ in counts] + [1], [count for _, count in counts] + [1]
    divergence = Divergence(sum(first), sum(second))
    for pair in zip(first, second, strict=True):
        divergence.add(*pair)
    assert divergence.bits == pytest.approx(distance.jensenshannon(first, second, base=2) ** 2, abs=1e-7)


def test_corpora_with_nothing_in_common_are_one_bit_apart() -> None:
    divergence = Divergence(3, 5)
    divergence.add(3, 0)
    divergence.add(0, 5)
    assert divergence.bits == pytest.approx(1.0)
