"""The merge equals a plain Counter over all shards, whatever the partitions."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.count.document_figures import DocumentFigures
from tasks.count.merge import MERGED_BATCH_ROWS, Merged, StoredPartial, merge, needed_partitions
from tasks.count.partitions import partition_of
from tasks.count.shard_counts import ShardCounts
from tasks.text.segmenter import SegmenterOptions, open_segmenter
from tasks.text.word_numbers import by_text

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


def _needed(shards: list[tuple[list[bytes], int]], partitions: int, partition: int) -> list[StoredPartial]:
    """Return what one partition must be given, each shard a step of its own."""
    return [
        StoredPartial(blobs[number], made_with, number, step)
        for step, (blobs, made_with) in enumerate(shards)
        for number in needed_partitions(made_with, partitions, partition)
    ]


def _merge_all(stored: Iterable[tuple[list[bytes], int]], partitions: int) -> Rows:
    """Merge every partition the way a worker does: only what it needs of each shard."""
    shards = list(stored)
    rows: Rows = {}
    for partition in range(partitions):
        words = []
        for batch in merge(_needed(shards, partitions, partition), partitions, partition).batches():
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
    partials = [StoredPartial(_partials(shard, 1)[0], 1) for shard in shards]
    shuffled = data.draw(st.permutations(partials))
    assert list(merge(partials, 1, 0).batches()) == list(merge(shuffled, 1, 0).batches())


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
    partials = [StoredPartial(_partials(shard, 1)[0], 1) for shard in shards]
    at_once = list(merge(partials, 1, 0).batches())
    with patch("tasks.count.merge.PENDING_BYTES", 1):
        assert list(merge(partials, 1, 0).batches()) == at_once


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
    (batch,) = merge([StoredPartial(blob, 1)] * 2, 1, 0).batches()
    assert batch.to_pylist() == [{"word": "北京", "count": 6, "documents": 4}]


def test_nothing_merged_gives_no_batches() -> None:
    assert list(merge([], 4, 3).batches()) == []
    assert list(merge([StoredPartial(_partials([], 1)[0], 1)], 1, 0).batches()) == []


def test_rows_come_in_batches_of_bounded_length_in_code_point_order() -> None:
    # U+FFEE sorts after U+20000 in UTF-16, but before it by code points.
    words = [f"{letter}{number}" for number in range(9_000) for letter in ("\uffee", "\U00020000", "中")]
    partials = [StoredPartial(_partials([words[start::3]], 1)[0], 1) for start in range(3)]
    batches = list(merge(partials, 1, 0).batches())
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


# --- months and growth

MONTHS = st.sampled_from([0, 202312, 202401])
DATED_SHARDS = st.lists(st.lists(st.tuples(MONTHS, st.lists(WORDS, max_size=6)), max_size=4), max_size=6)
DatedShard = list[tuple[int, list[str]]]


def _dated_partials(shard: DatedShard, partitions: int) -> list[bytes]:
    counts, figures = ShardCounts(), DocumentFigures()
    for month, tokens in shard:
        months = np.array([month]) if month else None
        counts.add_numbered(by_text(counts.numbers.of(tokens)), 1, months)
        figures.add(np.array([len("".join(tokens))]), months)
    figures.add_tokens(counts.tokens_by_month())
    return counts.partials(partitions, figures)


def _merged(stored: list[tuple[list[bytes], int]], partitions: int) -> list[Merged]:
    return [merge(_needed(stored, partitions, number), partitions, number) for number in range(partitions)]


def _rows(batches: Iterable[Any]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in batches for row in batch.to_pylist()]


@given(DATED_SHARDS, st.data(), PARTITIONS, st.sampled_from([1, 10**7]))
@settings(deadline=None)
def test_months_add_up_as_a_serial_count_of_each_month_does(
    shards: list[DatedShard], data: st.DataObject, partitions: int, pending_bytes: int
) -> None:
    stored = [(_dated_partials(shard, made_with := data.draw(PARTITIONS)), made_with) for shard in shards]
    with patch("tasks.count.merge.PENDING_BYTES", pending_bytes):
        merged = _merged(stored, partitions)
    found: dict[tuple[str, int], tuple[int, int]] = {}
    words: Rows = {}
    for part in merged:
        rows = _rows(part.batches())
        words |= {word: (count, documents) for word, count, documents in rows}
        months = _rows(part.month_batches())
        assert months == sorted(months)
        found |= {(rows[position][0], month): (count, documents) for position, month, count, documents in months}
    documents = [document for shard in shards for document in shard]
    assert words == _serial([[tokens for _, tokens in documents]])
    has_dates = any(month for month, _ in documents)
    serial = {
        (word, month): row
        for month in {month for month, _ in documents}
        for word, row in _serial([[tokens for of_month, tokens in documents if of_month == month]]).items()
    }
    assert found == (serial if has_dates else {})


@given(DATED_SHARDS, PARTITIONS, st.sampled_from([1, 10**7]))
@settings(deadline=None)
def test_the_vocabulary_grows_as_a_serial_reader_sees_it(
    shards: list[DatedShard], partitions: int, pending_bytes: int
) -> None:
    stored = [(_dated_partials(shard, 2), 2) for shard in shards]
    with patch("tasks.count.merge.PENDING_BYTES", pending_bytes):
        merged = _merged(stored, partitions)
    seen: set[str] = set()
    new = []
    for shard in shards:
        words = {word for _, tokens in shard for word in tokens}
        new.append(len(words - seen))
        seen |= words
    found = [part.new_words(len(shards)) for part in merged]
    assert [sum(of_step) for of_step in zip(*found, strict=True)] == new


@given(DATED_SHARDS, PARTITIONS)
@settings(deadline=None)
def test_partition_0_alone_adds_up_the_documents(shards: list[DatedShard], partitions: int) -> None:
    first, *others = _merged([(_dated_partials(shard, 2), 2) for shard in shards], partitions)
    assert [other.figures for other in others] == [None] * len(others)
    whole = _merged([(_dated_partials([document for shard in shards for document in shard], 1), 1)], 1)[0]
    assert first.figures is not None
    assert whole.figures is not None
    assert first.figures.encode() == whole.figures.encode()


def test_a_shard_that_says_nothing_of_its_documents_leaves_no_figures_and_all_counts() -> None:
    stored = [(_dated_partials([(202401, ["北京"])], 1), 1), (_partials([["北京"]], 1), 1)]
    (merged,) = _merged(stored, 1)
    assert merged.figures is None
    assert _rows(merged.batches()) == [("北京", 2, 2)]
    assert _rows(merged.month_batches()) == [(0, 0, 1, 1), (0, 202401, 1, 1)]
