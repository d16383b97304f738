"""Windows of ideographs: the same as the plain loop counts, whatever stands between and however they are added."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.discover.plain import Window, count_plainly, unpacked
from tasks.discover.windows import BOUND_END, FREE_END, WindowCounts

#: Few characters, so that they meet again: common and rare ideographs, ends of both kinds, and what is neither.
CHARACTERS = "的中文〇々豈𠮷𰻝，。 \n\ta1か한é😀𝐀\ud800\x00"
TEXT = st.text(st.sampled_from(CHARACTERS), max_size=30)
LENGTHS = st.integers(2, 6)


def plainly(texts: list[str], max_length: int) -> Counter[Window]:
    windows: Counter[Window] = Counter()
    for text in texts:
        count_plainly(windows, text, max_length)
    return windows


def counted(batches: list[list[str]], max_length: int) -> WindowCounts:
    counts = WindowCounts(max_length)
    for batch in batches:
        counts.add(batch)
    return counts


@given(st.lists(st.lists(TEXT, max_size=3), max_size=4), LENGTHS)
def test_windows_are_those_of_the_plain_loop(batches: list[list[str]], max_length: int) -> None:
    right = plainly([text for batch in batches for text in batch], max_length)
    counts = counted(batches, max_length)
    assert unpacked(counts.summed(), max_length) == right
    assert counts.ideographs == right.total()


@given(st.lists(TEXT, max_size=6), LENGTHS)
def test_the_order_and_the_batches_do_not_matter(texts: list[str], max_length: int) -> None:
    forward = counted([texts], max_length).summed()
    backward = counted([[text] for text in reversed(texts)], max_length).summed()
    for one, other in zip([*forward[0], forward[1]], [*backward[0], backward[1]], strict=True):
        assert one.tolist() == other.tolist()


def test_a_window_holds_the_neighbours_and_ends_with_its_run() -> None:
    a, b, c = map(ord, "甲乙丙")
    assert unpacked(counted([["甲乙3丙。"]], 2).summed(), 2) == {
        (a, b, BOUND_END, FREE_END): 1,
        (b, BOUND_END, FREE_END, a): 1,
        (c, FREE_END, FREE_END, BOUND_END): 1,
    }


def test_an_ideograph_of_a_rare_plane_is_one_character() -> None:
    windows = unpacked(counted([["𠮷野𠮷"]], 3).summed(), 3)
    assert (ord("𠮷"), ord("野"), ord("𠮷"), FREE_END, FREE_END) in windows
    assert len(windows) == 3


def test_what_was_summed_before_is_summed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.discover.windows.PENDING_WINDOWS", 2)
    texts = ["大会开幕", "大会闭幕", "大会开幕"]
    assert unpacked(counted([[text] for text in texts], 4).summed(), 4) == plainly(texts, 4)
