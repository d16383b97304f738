"""How words are shown in a report."""

from __future__ import annotations

import pytest

from workers.report.showing import decimal, visible, whole


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("中国", "中国"),
        ("a b\n", "a b↵"),
        ("  ", "␣␣"),
        (" \n", "␣↵"),
        ("\u3000", "␣␣"),
        ("a\u200bb", "a⟨U+200B⟩b"),
        ("\u202eabc", "⟨U+202E⟩abc"),
        ("\u2028", "⟨U+2028⟩"),
        ("سلام", "سلام"),
        ("\ud800", "⟨U+D800⟩"),
    ],
)
def test_nothing_in_a_word_is_invisible(word: str, shown: str) -> None:
    assert visible(word) == shown


def test_numbers_have_their_thousands_apart_and_a_true_minus() -> None:
    assert whole(1234567) == "1,234,567"
    assert decimal(-1234.567, 2) == "−1,234.57"
