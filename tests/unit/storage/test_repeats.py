"""Places that shards leave out: each is in the pieces of the shard that reads it, and in no other's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from storage.repeats import FIELD, number_in, places_in, with_repeats, within

PLACES = st.lists(st.integers(0, 99), unique=True).map(sorted)
CUTS = st.lists(st.integers(1, 99), unique=True).map(sorted)


@given(PLACES, CUTS)
def test_ranges_that_tile_a_source_share_its_places_out(places: list[int], cuts: list[int]) -> None:
    starts = [0, *cuts]
    ends = [*cuts, None]
    found: list[int] = []
    for start, end in zip(starts, ends, strict=True):
        pieces = with_repeats({"files": [[7, start, -1 if end is None else end - start, 1]]}, {7: places, 8: [start]})
        assert number_in(pieces) == len(places_in(pieces).get(7, ()))
        found += places_in(pieces).get(7, ())
    assert found == places


@given(PLACES, PLACES)
def test_enqueued_documents_are_left_out_by_their_ids(places: list[int], documents: list[int]) -> None:
    found = within({0: places}, {"documents": documents})
    assert found == ([[0, sorted({*places} & {*documents})]] if {*places} & {*documents} else [])


def test_a_shard_that_leaves_nothing_out_has_the_pieces_of_any_other() -> None:
    pieces = {"files": [[7, 10, 5, 1], [8, 0, -1, 1]]}
    assert with_repeats(pieces, {7: [9, 15], 9: [0]}) == pieces
    assert with_repeats(pieces, {7: [9, 10, 14], 8: [3]})[FIELD] == [[7, [10, 14]], [8, [3]]]
