from __future__ import annotations

from itertools import pairwise

import pytest

from tasks.nn.span_pointer import SpanPointer, SpanPointerSettings
from tasks.summarize.span_features import FEATURES, PairStatistics
from tasks.summarize.span_windows import MAX_WINDOWS, WINDOW_CHARS, collate, cut_windows, read_window
from tasks.text.characters import frequent_characters

SENTENCE = "本文提出了一种基于神经网络的方法，并用数据作了检验。"


def test_a_short_text_is_one_window() -> None:
    assert cut_windows(SENTENCE) == [(0, len(SENTENCE))]


@pytest.mark.parametrize(
    "text",
    [SENTENCE * 100, "网" * 2000, "网络，" * 700, "word " * 500, "。" * 1500, "\n" * 900, "😀" * 1000, "（" * 3000],
)
def test_windows_cover_the_text_in_order_and_are_never_too_long(text: str) -> None:
    windows = cut_windows(text)
    assert windows[0][0] == 0
    assert all(before[1] == after[0] for before, after in pairwise(windows))
    assert all(0 < end - start <= WINDOW_CHARS for start, end in windows)
    assert windows[-1][1] == len(text)


def test_a_window_ends_with_a_sentence() -> None:
    text = SENTENCE * 100
    assert all(text[end - 1] == "。" for _, end in cut_windows(text))


@pytest.mark.parametrize("text", ["网络，" * 333_334, "网" * 100_000 + "。", SENTENCE * 40_000])
def test_a_text_of_any_length_is_a_bounded_number_of_windows(text: str) -> None:
    windows = cut_windows(text)
    assert len(windows) <= MAX_WINDOWS
    assert len(cut_windows(text, max_windows=2)) == 2


def test_an_empty_text_has_no_window() -> None:
    assert cut_windows("") == []


def test_windows_of_several_lengths_make_one_padded_batch() -> None:
    text = SENTENCE * 3
    vocabulary = frequent_characters([text], 1)
    statistics = PairStatistics.count([text], [])
    windows = [read_window(text, place, vocabulary, statistics, 48) for place in [(0, 10), (10, 40)]]
    batch = collate(windows)
    assert batch.characters.shape == (2, 30)
    assert batch.features.shape == (2, 30, FEATURES)
    assert not batch.characters[0, 10:].any()
    assert not batch.room[0, 10:].any()
    assert windows[1].offset == 10
    allowed = SpanPointer(SpanPointerSettings(vocabulary.size, FEATURES, 8)).allowed(batch)
    assert allowed.any(dim=2).any(dim=1).tolist() == [True, True]
