"""The merge equals a plain Counter over all shards, whatever the partitions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.count.merge import MERGED_BATCH_ROWS, merge, needed_partitions
from tasks.count.partitions import partition_of
from tasks.count.shard_counts import ShardCounts
from tasks.text.segmenter import SegmenterOptions, open_segmenter

if TYPE_CHECKING:
    from collections.abc import Iterable

Rows = dict[str, tuple[int, int]]
Shard = list[list[str]]

REPOSITORY = Path(__file__).resolve().parents[4]

WORDS = st.sampled_from(["的", "北京", "a", "B", "，", "\n", "", "𠀀", "\uffee", "é", "😀", "上海", "0", "00"])
SHARDS = st.lists(st.lists(st.lists(WORDS, max_size=6), max_size=4), max_size=6)
PARTITIONS = st.sampled_from([1, 2, 4, 8])


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: the default dictionary is parsed once."""
    return tmp_path_factory.mktemp("segmenter-cache")


def _partials(shard: Shard, partitions: int) -> list[bytes]:
    counts = ShardCounts()
    for tokens in shard:
        counts.add(tokens)
    return counts.partials(partitions)


def _merge_all(stored: Iterable[tuple[list[bytes], int]], partitions: int) -> Rows:
    """Merge every partition the way a worker does: only what it needs of each shard."""
    shards = list(stored)
    rows: Rows = {}
    for partition in range(partitions):
        needed = [
            (blobs[number], made_with)
            for blobs, made_with in shards
            for number in needed_partitions(made_with, partitions, partition)
        ]
        words = []
        for batch in merge(needed, partitions, partition):
            words += batch["word"].to_pylist()
            rows |= zip(
                batch["word"].to_pylist(),
                zip(batch["count"].to_pylist(), batch["documents"].to_pylist(), strict=True),
                strict=True,
            )
        assert words == sorted(set(words))
        assert all(partition_of(word, partitions) == partition for word in words)
    return rows


def _serial(shards: list[Shard]) -> Rows:
    documents = [tokens for shard in shards for tokens in shard]
    counts = Counter(token for tokens in documents for token in tokens)
    document_frequencies = Counter(token for tokens in documents for token in set(tokens))
    return {word: (counts[word], document_frequencies[word]) for word in counts}


@given(SHARDS, st.data(), PARTITIONS)
@settings(deadline=None)
def test_any_mix_of_partitions_gives_the_serial_counts(
    shards: list[Shard], data: st.DataObject, partitions: int
) -> None:
    made_with = [data.draw(PARTITIONS) for _ in shards]
    stored = [(_partials(shard, number), number) for shard, number in zip(shards, made_with, strict=True)]
    assert _merge_all(stored, partitions) == _serial(shards)


@given(SHARDS, st.data())
@settings(deadline=None)
def test_the_order_of_the_partials_does_not_matter(shards: list[Shard], data: st.DataObject) -> None:
    partials = [(_partials(shard, 1)[0], 1) for shard in shards]
    shuffled = data.draw(st.permutations(partials))
    assert list(merge(partials, 1, 0)) == list(merge(shuffled, 1, 0))


@given(SHARDS, SHARDS, PARTITIONS)
@settings(deadline=None)
def test_merging_in_two_steps_equals_merging_at_once(left: list[Shard], right: list[Shard], partitions: int) -> None:
    both = _merge_all([(_partials(shard, 2), 2) for shard in left + right], partitions)
    parts = [_merge_all([(_partials(shard, 2), 2) for shard in shards], partitions) for shards in (left, right)]
    words = parts[0].keys() | parts[1].keys()
    nothing = (0, 0)
    added = {
        word: tuple(sum(pair) for pair in zip(parts[0].get(word, nothing), parts[1].get(word, nothing), strict=True))
        for word in words
    }
    assert both == added


@given(SHARDS)
@settings(deadline=None)
def test_summing_after_every_partial_changes_nothing(shards: list[Shard]) -> None:
    partials = [(_partials(shard, 1)[0], 1) for shard in shards]
    at_once = list(merge(partials, 1, 0))
    with patch("tasks.count.merge.PENDING_BYTES", 1):
        assert list(merge(partials, 1, 0)) == at_once


@pytest.mark.parametrize("shard_documents", [1, 10, 100])
def test_counts_of_real_sentences_equal_the_serial_loop(shard_documents: int, cache_dir: Path) -> None:
    lines = (REPOSITORY / "tests/samples/jieba_sentences.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    segmenter = open_segmenter(SegmenterOptions(), None, cache_dir)
    documents = [segmenter.cut(text) for text in texts]
    shards = [documents[start : start + shard_documents] for start in range(0, len(documents), shard_documents)]
    counts: dict[str, int] = {}
    for text in texts:
        for token in segmenter.cut(text):
            counts[token] = counts.get(token, 0) + 1
    merged = _merge_all([(_partials(shard, 4), 4) for shard in shards], 2)
    assert {word: count for word, (count, _) in merged.items()} == counts
    assert merged == _serial(shards)


def test_two_equal_shards_count_twice() -> None:
    (blob,) = _partials([["北京", "北京"], ["北京"]], 1)
    (batch,) = merge([(blob, 1), (blob, 1)], 1, 0)
    assert batch.to_pylist() == [{"word": "北京", "count": 6, "documents": 4}]


def test_nothing_merged_gives_no_batches() -> None:
    assert list(merge([], 4, 3)) == []
    assert list(merge([(_partials([], 1)[0], 1)], 1, 0)) == []


def test_rows_come_in_batches_of_bounded_length_in_code_point_order() -> None:
    # U+FFEE sorts after U+20000 in UTF-16, but before it by code points.
    words = [f"{letter}{number}" for number in range(9_000) for letter in ("\uffee", "\U00020000", "中")]
    partials = [(_partials([words[start::3]], 1)[0], 1) for start in range(3)]
    batches = list(merge(partials, 1, 0))
    assert [batch.num_rows for batch in batches] == [MERGED_BATCH_ROWS, MERGED_BATCH_ROWS, 7_000]
    assert [word for batch in batches for word in batch["word"].to_pylist()] == sorted(words)


@given(PARTITIONS, PARTITIONS)
def test_every_stored_row_is_read_by_exactly_one_partition(stored: int, partitions: int) -> None:
    for word in map(str, range(64)):
        reading = [
            p for p in range(partitions) if partition_of(word, stored) in needed_partitions(stored, partitions, p)
        ]
        assert partition_of(word, partitions) in reading
        assert len(reading) == max(1, partitions // stored)


def test_needed_partitions_as_documented() -> None:
    assert needed_partitions(1, 4, 3) == [0]
    assert needed_partitions(8, 2, 1) == [1, 3, 5, 7]
    assert needed_partitions(4, 4, 2) == [2]


@pytest.mark.parametrize(("partitions", "partition"), [(3, 0), (4, 4), (4, -1), (0, 0)])
def test_a_partition_that_cannot_be_is_refused_at_once(partitions: int, partition: int) -> None:
    with pytest.raises(ValueError, match=r"power of two|out of range"):
        merge([], partitions, partition)
    with pytest.raises(ValueError, match=r"power of two|out of range"):
        needed_partitions(1, partitions, partition)
