"""Frequent n-grams with the figures of their neighbours: those of plain loops, however they are divided."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from tasks.discover import frequent
from tasks.discover.frequent import WEIGHT_PARTS, Partition, frequent_grams, slices_for
from tasks.discover.grams import decode_grams, encode_grams, together
from tasks.discover.partials import encode_partials
from tasks.discover.windows import WindowCounts
from tests.support.plain_lexicon import plain_grams

TEXTS = [
    "十五五规划提出：十五五时期要办好大会。𠮷野家参加大会，3家企业也参加了大会",
    "十五五开局，𠮷野家开店；大会上，𠮷野家说十五五",
    "记者从大会获悉，十五五时期𠮷野家将参加大会第2届",
    "",
]


def stored(texts: list[str], partitions: int, max_length: int = 4) -> list[list[bytes]]:
    """Return the partial counts of texts, each text a shard."""
    shards = []
    for text in texts:
        counts = WindowCounts(max_length)
        counts.add([text])
        shards.append(encode_partials(counts.summed(), max_length, partitions))
    return shards


def merged(shards: list[list[bytes]], partitions: int, min_count: int, windows: int = 100) -> dict[str, list[int]]:
    """Return {n-gram: [count, left, right]} of all partitions."""
    found: dict[str, list[int]] = {}
    for number in range(partitions):
        blobs = [(blob, len(shard)) for shard in shards for blob in shard[number % len(shard) :: partitions]]
        grams = frequent_grams(Partition(lambda: blobs, 4, partitions, number), windows, min_count)  # noqa: B023 - at once
        for gram, *figures in zip(*(column.to_pylist() for column in grams.columns), strict=True):
            before = found.get(gram, [0, 0, 0])
            assert len(gram) == 1 or gram not in found
            found[gram] = [one + other for one, other in zip(before, figures, strict=True)]
    return found


def entropy(count: int, weights: int) -> float:
    return math.log(count) - weights / WEIGHT_PARTS / count


@pytest.mark.parametrize("min_count", [1, 3])
def test_n_grams_are_those_of_the_plain_loop(min_count: int) -> None:
    found = merged(stored(TEXTS, 1), 1, min_count)
    right = {gram: figures for gram, figures in plain_grams(TEXTS, 4).items() if figures.count >= min_count}
    assert {gram for gram in found if len(gram) > 1} == set(right)
    for gram, figures in right.items():
        count, left, after = found[gram]
        assert count == figures.count
        assert entropy(count, left) == pytest.approx(figures.left_entropy, abs=1e-5)
        assert entropy(count, after) == pytest.approx(figures.right_entropy, abs=1e-5)


def test_every_single_ideograph_is_counted_however_rare() -> None:
    found = merged(stored(TEXTS, 1), 1, 5)
    singles = Counter(character for text in TEXTS for character in text if character not in "，。：；32")
    assert {gram: figures[0] for gram, figures in found.items() if len(gram) == 1} == singles


@pytest.mark.parametrize(("made_with", "partitions"), [(1, 4), (4, 4), (8, 2), (2, 8)])
def test_partitions_and_shards_do_not_matter(made_with: int, partitions: int) -> None:
    whole = merged(stored(["\n".join(TEXTS)], 1), 1, 2)
    assert merged(stored(TEXTS, made_with), partitions, 2) == whole
    assert merged(stored(TEXTS[::-1], made_with), partitions, 2) == whole


def test_slices_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = merged(stored(TEXTS, 1), 1, 2)
    monkeypatch.setattr(frequent, "SLICE_WINDOWS", 10)
    assert slices_for(100, 2) == 8
    assert merged(stored(TEXTS, 1), 1, 2) == merged(stored(TEXTS, 2), 2, 2) == whole
    monkeypatch.setattr(frequent, "PENDING_WINDOWS", 1)
    assert merged(stored(TEXTS, 1), 1, 2) == whole


def test_slices_are_as_many_as_are_needed() -> None:
    limit = frequent.SLICE_WINDOWS
    sizes = [0, 1, limit, limit + 1, 2 * limit + 1, 9 * limit]
    assert [slices_for(windows, 1) for windows in sizes] == [1, 1, 1, 2, 4, 16]


def test_no_texts_have_no_n_grams() -> None:
    assert merged([], 2, 1) == merged(stored(["", "abc"], 2), 2, 1) == {}


def test_n_grams_come_back_as_they_were() -> None:
    blobs = [(blob, 1) for (blob,) in stored(TEXTS, 1)]
    grams = frequent_grams(Partition(lambda: blobs, 4), 100, 2)
    assert decode_grams(encode_grams(grams)) == grams
    assert together([grams, grams]).num_rows == 2 * grams.num_rows
