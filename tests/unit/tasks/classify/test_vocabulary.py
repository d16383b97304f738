from __future__ import annotations

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer

from tasks.classify.pieces import MAX_CHARACTERS, n_grams, pieces
from tasks.classify.vocabulary import UNKNOWN, learn_n_grams, learn_pieces

TEXTS = ["支付利息，支付工资。", "支付赔偿金", "给定一个整数数组 nums", "数组 nums 和整数"]


def test_words_and_numbers_are_one_piece_each_and_characters_too() -> None:
    assert pieces("支付 16000元，A4 Linux\n２号😀") == [*"支付", "#5", "元", "，", "a", "4", "linux", "２", "号", "😀"]


def test_numbers_of_equal_length_are_the_same_piece() -> None:
    assert pieces("2016") == pieces("1999") == ["#4"]
    assert pieces("1" * 9) == pieces("7" * 5000)


def test_what_comes_after_the_first_characters_does_not_count() -> None:
    assert pieces("天" * MAX_CHARACTERS + "地") == ["天"] * MAX_CHARACTERS


def test_n_grams_are_all_stretches() -> None:
    assert sorted(n_grams(list("天地人"), 3)) == sorted(["天", "地", "人", "天地", "地人", "天地人"])
    assert n_grams(["天"], 3) == ["天"]


def test_the_weights_are_those_of_scikit_learn() -> None:
    cut = [pieces(text) for text in TEXTS]
    ours = learn_n_grams(cut, at_least=1, at_most=1000)
    theirs = TfidfVectorizer(analyzer=lambda sequence: n_grams(sequence, 3), sublinear_tf=True)
    matrix = theirs.fit_transform(cut)
    for row, sequence in enumerate(cut):
        found = ours.encode(sequence)
        expected = matrix[row].toarray()[0]
        for number, weight in zip(found.numbers, found.weights, strict=True):
            assert weight == pytest.approx(expected[theirs.vocabulary_[ours.known[number]]], abs=1e-6)
        assert len(found.numbers) == np.count_nonzero(expected)


def test_rare_pieces_are_not_known() -> None:
    known = learn_pieces([pieces(text) for text in TEXTS], at_least=2, at_most=100)
    assert "nums" in known.known
    assert known.encode(["nums", "赔"])[1] == UNKNOWN
    assert len(known) == len(known.known) + 2


def test_a_text_without_a_known_n_gram_has_no_weights() -> None:
    known = learn_n_grams([list("甲乙")], at_least=1, at_most=10)
    assert len(known.encode(list("丙丁")).numbers) == 0


def test_the_order_of_texts_decides_nothing() -> None:
    cut = [pieces(text) for text in TEXTS]
    assert learn_n_grams(cut, 1, 20).known == learn_n_grams(cut[::-1], 1, 20).known
