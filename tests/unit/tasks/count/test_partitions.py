"""The partition of a word: by itself, and in columns."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.count.partitions import LONG_WORD_BYTES, partition_of, partitions_of

PARTITIONS = st.sampled_from([1, 2, 4, 8])
WORD = st.text(st.characters(codec="utf-8"), max_size=LONG_WORD_BYTES)


@given(WORD, PARTITIONS)
def test_a_words_partition_follows_from_a_finer_one(word: str, partitions: int) -> None:
    assert partition_of(word, partitions) == partition_of(word, 8) % partitions


def test_the_partition_of_a_word_never_changes() -> None:
    words = ["的", "北京", "，", "a", ""]
    assert [partition_of(word, 8) for word in words] == [6, 1, 0, 3, 0]
    assert partitions_of(pa.array(words, pa.large_string()), 8).tolist() == [6, 1, 0, 3, 0]


@given(st.lists(WORD, max_size=12), PARTITIONS, st.integers(0, 3))
def test_a_column_of_words_is_parted_as_its_words_are(words: list[str], partitions: int, skipped: int) -> None:
    column = pa.array(words, pa.large_string())[skipped:]
    assert partitions_of(column, partitions).tolist() == [partition_of(word, partitions) for word in words[skipped:]]


@pytest.mark.parametrize("words", [[], [""], ["", ""], ["字" * 100_000, "a"]], ids=["none", "empty", "two", "long"])
def test_columns_of_odd_words_are_parted_too(words: list[str]) -> None:
    column = pa.array(words, pa.large_string())
    assert partitions_of(column, 4).tolist() == [partition_of(word, 4) for word in words]
