from __future__ import annotations

from operator import itemgetter

from hypothesis import given
from hypothesis import strategies as st

from storage.sorted_runs import sorted_rows

ROWS = st.lists(st.tuples(st.text(max_size=3), st.integers(), st.floats(allow_nan=False)), max_size=50)


@given(ROWS, st.integers(1, 7))
def test_rows_come_as_if_they_were_sorted_in_memory(rows: list[tuple[str, int, float]], run_rows: int) -> None:
    key = itemgetter(1, 0)
    assert list(sorted_rows(rows, key, run_rows)) == sorted(rows, key=key)


def test_more_rows_than_a_block_of_a_file_holds_come_back() -> None:
    rows = [(number * 7919 % 5003,) for number in range(5003)]
    assert list(sorted_rows(rows, itemgetter(0), 2500)) == sorted(rows)
