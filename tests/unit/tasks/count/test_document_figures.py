"""The lengths and months of documents, against a plain loop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.count.document_figures import DocumentFigures, bin_end, bins_of

CHARS = st.one_of(st.integers(0, 300), st.integers(0, 2**34))
MONTHS = st.sampled_from([0, 202312, 202401, 999912])
DOCUMENTS = st.lists(st.tuples(MONTHS, CHARS), max_size=20)


def _figures(documents: list[tuple[int, int]]) -> DocumentFigures:
    figures = DocumentFigures()
    if documents:
        months, chars = (np.array(column, np.int64) for column in zip(*documents, strict=True))
        figures.add(chars, months)
    figures.add_tokens(Counter(month for month, _ in documents))
    return figures


@given(st.lists(CHARS, min_size=1))
def test_a_bin_begins_with_the_first_two_digits_of_its_lengths(chars: list[int]) -> None:
    for length, shortest in zip(chars, bins_of(np.array(chars, np.int64)).tolist(), strict=True):
        digits = str(length)
        assert shortest == int(digits[:2] + "0" * (len(digits) - 2))
        assert shortest <= length <= bin_end(shortest)
        assert bins_of(np.array([bin_end(shortest), bin_end(shortest) + 1])).tolist() == [
            shortest,
            bin_end(shortest) + 1,
        ]


@given(DOCUMENTS, DOCUMENTS)
def test_what_is_added_in_parts_equals_a_plain_count(left: list[tuple[int, int]], right: list[tuple[int, int]]) -> None:
    figures = DocumentFigures()
    for part in (left, right):
        figures.add_encoded(_figures(part).encode())
    documents = Counter(month for month, _ in left + right)
    characters: Counter[int] = Counter()
    for month, chars in left + right:
        characters[month] += chars
    months = {month: (documents[month], documents[month], characters[month]) for month in sorted(documents)}
    assert {month: tuple(sums) for month, sums in figures.months().items()} == months
    assert figures.lengths == Counter((month, int(bins_of(np.array([chars]))[0])) for month, chars in left + right)
    assert figures.encode() == _figures(right + left).encode()


def test_documents_without_months_are_undated() -> None:
    figures = DocumentFigures()
    figures.add(np.array([3, 1234]))
    assert figures.months() == {0: (2, 0, 1237)}
    assert figures.lengths == {(0, 3): 1, (0, 1200): 1}


@pytest.mark.parametrize("encoded", [b"", b"{}", b"[]", b'{"months":[[1]],"lengths":[]}', b'{"months":[],"lengths":3}'])
def test_bytes_that_are_no_figures_are_refused(encoded: bytes) -> None:
    with pytest.raises(ValueError, match="no figures of documents"):
        DocumentFigures().add_encoded(encoded)
