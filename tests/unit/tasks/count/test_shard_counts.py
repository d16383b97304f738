"""The counts of a shard, and the bytes of its partial counts."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.count.document_figures import DocumentFigures
from tasks.count.partitions import partition_of
from tasks.count.shard_counts import (
    PARTIAL_FORMAT_KEY,
    PARTIAL_SCHEMA,
    ShardCounts,
    decode_partial,
    encode_partial,
    encoded_figures,
)
from tasks.text.word_numbers import WordNumbers, by_text

DOCUMENTS = st.lists(
    st.lists(st.sampled_from(["的", "北京", "a", "B", "，", "\n", "𠀀", "\uffee", "é", "😀"]), max_size=8), max_size=8
)
PARTITIONS = st.sampled_from([1, 2, 4, 8])
REPOSITORY = Path(__file__).resolve().parents[4]


def _count(documents: list[list[str]]) -> ShardCounts:
    counts = ShardCounts()
    for tokens in documents:
        counts.add(tokens)
    return counts


@given(DOCUMENTS, PARTITIONS)
@settings(deadline=None)
def test_partials_hold_every_word_once_sorted_in_its_partition(documents: list[list[str]], partitions: int) -> None:
    tables = [decode_partial(blob) for blob in _count(documents).partials(partitions)]
    found: dict[str, tuple[int, int]] = {}
    for partition, table in enumerate(tables):
        words = table["word"].to_pylist()
        assert words == sorted(words)
        assert {partition_of(word, partitions) for word in words} <= {partition}
        found.update(
            zip(words, zip(table["count"].to_pylist(), table["documents"].to_pylist(), strict=True), strict=True)
        )
    counts = Counter(token for tokens in documents for token in tokens)
    document_frequencies = Counter(token for tokens in documents for token in set(tokens))
    assert found == {word: (counts[word], document_frequencies[word]) for word in counts}
    assert sum(len(table) for table in tables) == len(counts)


@given(st.data(), DOCUMENTS, PARTITIONS)
@settings(deadline=None)
def test_equal_counts_give_equal_bytes_in_any_order(
    data: st.DataObject, documents: list[list[str]], partitions: int
) -> None:
    shuffled = [data.draw(st.permutations(tokens)) for tokens in data.draw(st.permutations(documents))]
    assert _count(documents).partials(partitions) == _count(shuffled).partials(partitions)


def test_another_process_with_another_hash_seed_gives_equal_bytes() -> None:
    program = (
        "import hashlib; from tasks.count.shard_counts import ShardCounts; counts = ShardCounts();"
        "[counts.add([str(n * m) for n in range(300)]) for m in range(1, 9)];"
        "print([hashlib.sha256(blob).hexdigest() for blob in counts.partials(4)])"
    )
    command = [sys.executable, "-c", program]
    outcome = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=REPOSITORY, env={"PYTHONHASHSEED": "7"}
    )
    here = _count([[str(n * m) for n in range(300)] for m in range(1, 9)]).partials(4)
    assert outcome.stdout.strip() == str([hashlib.sha256(blob).hexdigest() for blob in here])


def test_documents_and_tokens_are_summed() -> None:
    counts = _count([["a", "a", "b"], [], ["a"]])
    assert (counts.documents, counts.tokens) == (3, 4)


def test_a_shard_without_tokens_gives_empty_partials() -> None:
    assert [decode_partial(blob).num_rows for blob in ShardCounts().partials(4)] == [0, 0, 0, 0]


def test_a_megabyte_of_letters_is_one_word() -> None:
    (blob,) = _count([["a" * 1_000_000, "b"]]).partials(1)
    assert decode_partial(blob)["word"].to_pylist() == ["a" * 1_000_000, "b"]


def test_numbers_that_another_shard_gave_change_nothing() -> None:
    numbers = WordNumbers()
    first = ShardCounts(numbers)
    first.add(["北京", "的", "é"])
    second = ShardCounts(numbers)
    second.add(["的", "a", "的"])
    assert second.words() == {"的": 2, "a": 1}
    assert second.partials(2) == _count([["a", "的", "的"]]).partials(2)
    assert first.words() == {"北京": 1, "的": 1, "é": 1}


def test_what_is_not_kept_is_not_counted() -> None:
    counts = _count([["a", "b", "a"], ["b", "c"]])
    counts.keep(lambda words: [word for word in words if word != "b"])
    assert counts.words() == {"a": 2, "c": 1}
    assert counts.tokens == 3
    assert counts.partials(1) == _count([["a", "a"], ["c"]]).partials(1)


@pytest.mark.parametrize("partitions", [0, -1, 3, 6])
def test_a_number_of_partitions_that_is_no_power_of_two_is_refused(partitions: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        ShardCounts().partials(partitions)


def test_partials_of_another_format_are_refused() -> None:
    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(stream, PARTIAL_SCHEMA.with_metadata({b"hanmill.partial_counts": b"0"})):
        pass
    with pytest.raises(ValueError, match="format '0'"):
        decode_partial(stream.getvalue().to_pybytes())


def test_bytes_that_are_no_partial_are_refused() -> None:
    for blob in (b"", b"not Arrow at all", b"\xff" * 64):
        with pytest.raises(ValueError, match="no partial counts"):
            decode_partial(blob)


def test_partials_cut_short_anywhere_are_refused() -> None:
    blob = encode_partial(pa.record_batch([["a"], [1], [1]], schema=PARTIAL_SCHEMA))
    for length in range(len(blob)):
        with pytest.raises(ValueError, match="no partial counts"):
            decode_partial(blob[:length])


# --- months

DATED = st.lists(st.tuples(st.sampled_from([0, 202401, 202402]), st.lists(st.sampled_from(["的", "北京", "é", "😀"]))))


def _count_dated(documents: list[tuple[int, list[str]]]) -> ShardCounts:
    counts = ShardCounts()
    for month, tokens in documents:
        counts.add_numbered(by_text(counts.numbers.of(tokens)), 1, np.array([month]) if month else None)
    return counts


@given(st.data(), DATED, PARTITIONS)
@settings(deadline=None)
def test_partials_of_dated_documents_hold_each_word_once_a_month_in_order(
    data: st.DataObject, documents: list[tuple[int, list[str]]], partitions: int
) -> None:
    counts = _count_dated(documents)
    blobs = counts.partials(partitions)
    assert blobs == _count_dated(data.draw(st.permutations(documents))).partials(partitions)
    expected = Counter((word, month) for month, tokens in documents for word in tokens)
    has_months = any(month for month, _ in documents)
    found: dict[tuple[str, int], int] = {}
    for table in map(decode_partial, blobs):
        months = table["month"].to_pylist() if has_months else [0] * len(table)
        places = list(zip(table["word"].to_pylist(), months, strict=True))
        assert places == sorted(places)
        found |= dict(zip(places, table["count"].to_pylist(), strict=True))
    assert found == expected
    tokens_by_month = Counter(month for month, tokens in documents for _ in tokens)
    assert {month: tokens for month, tokens in counts.tokens_by_month().items() if tokens} == tokens_by_month
    assert counts.words() == Counter(word for _, tokens in documents for word in tokens)


def test_what_is_not_kept_is_not_counted_in_any_month() -> None:
    counts = _count_dated([(202401, ["a", "b", "a"]), (0, ["b", "c"]), (202402, ["b"])])
    counts.keep(lambda words: [word for word in words if word != "b"])
    assert counts.words() == {"a": 2, "c": 1}
    assert (counts.tokens, counts.tokens_by_month()) == (3, {202401: 2, 0: 1})


def test_the_first_partial_alone_carries_the_figures() -> None:
    figures = DocumentFigures()
    figures.add(np.array([7]))
    first, second = map(decode_partial, _count([["a", "b"]]).partials(2, figures))
    assert (encoded_figures(first), encoded_figures(second)) == (figures.encode(), None)


def test_partials_without_months_can_be_summed_by_a_version_that_knows_none() -> None:
    plain, dated = (
        decode_partial(counts.partials(1)[0]) for counts in (_count([["a"]]), _count_dated([(202401, ["a"])]))
    )
    assert plain.schema.metadata[PARTIAL_FORMAT_KEY] == b"1"
    assert dated.schema.metadata[PARTIAL_FORMAT_KEY] == b"2"
