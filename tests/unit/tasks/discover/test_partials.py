"""The partial counts of new words as bytes: whole, in their partitions, and refused when they are something else."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from tasks.discover.partials import decode_runs, encode_partials, join_runs, needed_partitions, scatter
from tasks.discover.plain import Window, unpacked
from tasks.discover.windows import Packed, WindowCounts

TEXTS = ["第三届博览会在上海开幕，来自各国的企业参加了展览。", "𠮷野家在上海开了第1家店，企业参加了展览"]


def decoded(blob: bytes, max_length: int = 4) -> Counter[Window]:
    """Return the windows of a blob, all runs together."""
    found: Counter[Window] = Counter()
    for run in decode_runs(blob, max_length):
        found.update(unpacked(run, max_length))
    return found


def windows(max_length: int = 4, repeats: int = 1) -> Packed:
    counts = WindowCounts(max_length)
    counts.add(TEXTS * repeats)
    return counts.summed()


@pytest.mark.parametrize("repeats", [1, 70_000], ids=["few", "more than 16 bits"])
def test_windows_come_back_as_they_were(repeats: int) -> None:
    packed = windows()
    given = (packed[0], packed[1] * repeats)
    (blob,) = encode_partials(given, 4, 1)
    assert decoded(blob) == unpacked(given, 4)


@pytest.mark.parametrize("max_length", [2, 3, 4, 5, 6])
def test_partitions_hold_every_window_once(max_length: int) -> None:
    packed = windows(max_length)
    parts = [decoded(blob, max_length) for blob in encode_partials(packed, max_length, 8)]
    assert sum(map(len, parts)) == len(packed[1])
    assert {window: count for part in parts for window, count in part.items()} == unpacked(packed, max_length)
    assert sum(bool(part) for part in parts) > 4


def test_what_begins_with_the_same_two_ideographs_is_in_one_partition() -> None:
    columns = windows()[0]
    partition_of: dict[tuple[int, ...], set[int]] = {}
    for window, partition in zip(unpacked(windows(), 4), scatter(columns, 8).tolist(), strict=True):
        partition_of.setdefault(window[:2], set()).add(partition)
    assert {len(partitions) for partitions in partition_of.values()} == {1}
    assert np.array_equal(scatter(columns, 8) % 2, scatter(columns, 2))


def test_no_windows_have_partials_too() -> None:
    packed = WindowCounts(4).summed()
    assert [len(decoded(blob)) for blob in encode_partials(packed, 4, 4)] == [0, 0, 0, 0]


def test_equal_windows_give_equal_bytes() -> None:
    counts = WindowCounts(4)
    for text in reversed(TEXTS):
        counts.add([text])
    assert encode_partials(counts.summed(), 4, 2) == encode_partials(windows(), 4, 2)


def test_runs_of_a_shard_are_read_one_after_the_other() -> None:
    packed = windows()
    blobs = join_runs([encode_partials(packed, 4, 2)] * 3)
    assert [len(list(decode_runs(blob, 4))) for blob in blobs] == [3, 3]
    assert decoded(blobs[0]) + decoded(blobs[1]) == {window: 3 * count for window, count in unpacked(packed, 4).items()}


def test_a_merge_reads_the_partitions_that_it_needs() -> None:
    assert needed_partitions(1, 4, 3) == [0]
    assert needed_partitions(8, 2, 1) == [1, 3, 5, 7]
    assert needed_partitions(4, 4, 2) == [2]


@pytest.mark.parametrize("partitions", [0, 3, 6])
def test_a_number_of_partitions_is_a_power_of_two(partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        encode_partials(windows(), 4, partitions)


def test_bytes_that_are_no_windows_are_refused() -> None:
    (blob,) = encode_partials(windows(), 4, 1)
    foreign = pa.BufferOutputStream()
    with pa.ipc.new_stream(foreign, pa.schema([("word", pa.string())])) as writer:
        writer.write_table(pa.table({"word": ["甲"]}))
    for broken in (b"", blob[:-9], b"no Arrow at all" + blob[-8:]):
        with pytest.raises(ValueError, match="no windows"):
            decoded(broken)
    with pytest.raises(ValueError, match="the form 'none'"):
        decoded(foreign.getvalue().to_pybytes())
    with pytest.raises(ValueError, match="the form '1, 4'; what is read here is '1, 5'"):
        decoded(blob, 5)
