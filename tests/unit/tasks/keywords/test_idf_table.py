"""Tables of idf: what is packed is read again, what is not there is rare, and no other bytes are taken for one."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.keywords.idf_choice import least_documents
from tasks.keywords.idf_table import (
    IdfFileError,
    idf_of,
    jieba_idf_digest,
    jieba_idf_path,
    open_frequencies,
    open_given,
    pack_frequencies,
    pack_given,
    parse_idf_file,
)

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=6)


@given(st.dictionaries(WORDS, st.integers(2, 900), max_size=30))
def test_frequencies_are_read_as_they_were_packed(frequencies: dict[str, int]) -> None:
    table = open_frequencies(pack_frequencies(1000, 1, frequencies.items()))
    assert {word: table.of(word) for word in frequencies} == {
        word: math.log(1001 / documents) for word, documents in frequencies.items()
    }
    assert table.of("不在其中的词") == table.absent == math.log(1001)


def test_the_same_counts_make_the_same_bytes_in_any_order() -> None:
    rows = [("博览会", 3), ("上海", 2), ("开幕", 7)]
    assert pack_frequencies(9, 1, rows) == pack_frequencies(9, 1, reversed(rows))


def test_a_word_of_every_document_weighs_little_and_one_that_was_never_counted_most() -> None:
    assert 0 < idf_of(1000, 1000) < 0.01
    assert idf_of(1000, 0) == idf_of(1000, 1) > idf_of(1000, 2)


@given(st.dictionaries(WORDS, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_what_is_given_is_read_as_it_was_given_and_the_rest_is_the_median(idfs: dict[str, float]) -> None:
    table = open_given(pack_given(idfs))
    assert {word: table.of(word) for word in idfs} == idfs
    assert table.of("不在其中的词") == sorted(idfs.values())[len(idfs) // 2]


def test_the_file_of_jieba_is_taken_as_it_is() -> None:
    parsed = parse_idf_file(jieba_idf_path().read_bytes())
    table = open_given(pack_given(parsed))
    assert len(parsed) > 250_000
    some = {word: parsed[word] for word in [*parsed][::97]}
    assert {word: table.of(word) for word in some} == some
    assert len(jieba_idf_digest()) == 64


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("词语\n", "line 1: not a word, one space and a number"),
        ("词语 1.5\n\n词语 一\n", "line 3: '一' is no number"),
        ("词语  1.5\n", "line 1: not a word"),
        ("词语 nan\n", "must be finite"),
        ("词语 1e999\n", "must be finite"),
        ("\n \n", "no word stands in it"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_line(data: str, reason: str) -> None:
    with pytest.raises(IdfFileError, match=reason):
        parse_idf_file(data.encode())


def test_a_file_of_another_encoding_is_refused() -> None:
    with pytest.raises(IdfFileError, match="not UTF-8"):
        parse_idf_file("词语 1.5\n".encode("gb18030"))


@pytest.mark.parametrize("data", [b"", b"{}\n", b"\x00\x01", pack_given({"词": 1.0})])
def test_other_bytes_are_no_table(data: bytes) -> None:
    with pytest.raises(ValueError, match="no idf table"):
        open_frequencies(data)


@pytest.mark.parametrize(
    ("sizes", "most", "least"),
    [
        ([(1, 900), (2, 80), (3, 40)], 1000, 2),
        ([(1, 900), (2, 80), (3, 40)], 120, 2),
        ([(1, 900), (2, 80), (3, 40)], 100, 3),
        ([(1, 900), (2, 80), (3, 40)], 39, 4),
        ([(1, 900)], 1000, 2),
        ([], 1000, 3),
    ],
)
def test_the_rarest_words_need_no_row_and_there_are_never_too_many(
    sizes: list[tuple[int, int]], most: int, least: int
) -> None:
    assert least_documents(sizes, most) == least
