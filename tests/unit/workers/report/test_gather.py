"""How a text is cut where a summary was taken from it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.report.gather import stretches

POEM = "春眠不觉晓"


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], [(POEM, False)]),
        ([[2, 4]], [("春眠", False), ("不觉", True), ("晓", False)]),
        ([[3, 5], [0, 1]], [("春", True), ("眠不", False), ("觉晓", True)]),
        ([[0, 3], [2, 5]], [("春眠不", True), ("觉晓", True)]),
        ([[3, 9], [7, 9]], [("春眠不", False), ("觉晓", True)]),
    ],
)
def test_a_text_is_marked_where_spans_say(spans: list[list[int]], expected: list[tuple[str, bool]]) -> None:
    assert [tuple(one) for one in stretches(POEM, spans)] == expected


@given(st.text(max_size=30), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_nothing_of_a_text_is_lost_or_said_twice(text: str, spans: list[tuple[int, int]]) -> None:
    found = stretches(text, spans)
    assert "".join(one.text for one in found) == text
    marked = "".join("x" if one.is_marked else "-" for one in found for _ in one.text)
    inside = {at for begin, end in spans for at in range(begin, end)}
    assert marked == "".join("x" if at in inside else "-" for at in range(len(text)))
