"""WordPiece agrees with the `tokenizers` library; words of the vocabulary stay whole; no blanks in Chinese."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.jieba_wordpiece import (
    JiebaWordPiece,
    drop_blanks_between_chinese,
    holds_chinese_words,
    join_tokens,
)
from tasks.text.segmenter import SegmenterOptions, open_segmenter
from tests.support.availability import need_module

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CHARS = list("北京是中国的首都研究人员提出了新方法，。！（）")
LATIN = [*"abcdert0123456789.,%-$", "##a", "##b", "##e", "##r", "##t", "##1", "ber", "##rt", "deep"]
WORDPIECE = [*SPECIALS, *CHARS, *LATIN]
WORDS = [*WORDPIECE, "北京", "中国", "首都", "研究", "方法", "人员"]


def word_cutter() -> Any:
    return open_segmenter(SegmenterOptions(hmm=False), None, Path(os.devnull)).cut


@pytest.fixture(scope="module")
def library() -> Any:
    """Return BERT's tokenizer as another implementation has it."""
    tokenizers = need_module("tokenizers")
    model = tokenizers.models.WordPiece(
        {token: place for place, token in enumerate(WORDPIECE)}, unk_token="[UNK]", max_input_chars_per_word=100
    )
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    return tokenizer


def test_words_of_the_vocabulary_are_one_token_and_others_fall_to_characters() -> None:
    tokens = JiebaWordPiece(WORDS, word_cutter()).tokenize("北京是中国的首都，研究人员提出新方法。")
    assert tokens == ["北京", "是", "中国", "的", "首都", "，", "研究", "人员", "提", "出", "新", "方法", "。"]


def test_without_a_word_cutter_every_character_is_a_token() -> None:
    assert JiebaWordPiece(WORDS).tokenize("北京 BERT") == ["北", "京", "ber", "##t"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "Bert,3.5%",
        "déjà-bert",
        "北京\u200b是\ufffd中国",
        "ber" * 40,
        "😀北京",
        "$a^b",
        "\u3000北京\u3000",
        "京\u2028都",
    ],
)
def test_wordpiece_agrees_with_the_library(text: str, library: Any) -> None:
    assert JiebaWordPiece(WORDPIECE).encode(text) == library.encode(text, add_special_tokens=False).ids


# The library has tables of a Unicode of its own: a character that was assigned or changed its category after Unicode
# 3.2 may be invisible to one and a letter to the other.
@given(st.text(st.one_of(st.sampled_from("".join(CHARS) + "abert01 .,%-$^\n\u3000é"), st.characters(codec="utf-8"))))
def test_wordpiece_agrees_with_the_library_on_any_text(text: str) -> None:
    known = "".join(char for char in text if is_settled(char))
    tokenizers = need_module("tokenizers")
    normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    pieces = tokenizers.pre_tokenizers.BertPreTokenizer().pre_tokenize_str(normalizer.normalize_str(known))
    vocabulary = [*WORDPIECE, *{word for word, _ in pieces if len(word) <= 100}]
    tokens = JiebaWordPiece(vocabulary).tokenize(known)
    assert tokens == [word if len(word) <= 100 else "[UNK]" for word, _ in pieces]


def is_settled(char: str) -> bool:
    category = unicodedata.category(char)
    return category not in {"Cn", "Co"} and category == unicodedata.ucd_3_2_0.category(char)


def test_a_cased_vocabulary_keeps_its_capitals() -> None:
    vocabulary = [*WORDPIECE, "BERT"]
    assert JiebaWordPiece(vocabulary, lower_case=False).tokenize("北京BERT") == ["北", "京", "BERT"]
    assert JiebaWordPiece(vocabulary).tokenize("北京BERT") == ["北", "京", "ber", "##t"]


def test_what_is_encoded_comes_back_without_blanks_between_chinese() -> None:
    tokenizer = JiebaWordPiece(WORDS, word_cutter())
    assert (
        tokenizer.decode(tokenizer.encode("研究人员提出了deep bert新方法，3.5%。"))
        == "研究人员提出了deep bert新方法，3.5%。"
    )


def test_a_vocabulary_of_words_is_told_from_one_of_characters() -> None:
    assert holds_chinese_words(WORDS)
    assert not holds_chinese_words(WORDPIECE)
    assert not holds_chinese_words([*WORDPIECE * 3, "北京"])


def test_special_and_unused_tokens_are_no_text() -> None:
    assert join_tokens(["[CLS]", "北", "[UNK]", "", "[unused7]", "京", "[SEP]", "[PAD]"]) == "北京"


def test_only_blanks_between_chinese_are_dropped() -> None:
    assert drop_blanks_between_chinese("北 京 ， 中国 BERT model 。 “ 新 ”") == "北京，中国 BERT model 。“新”"


def test_a_hundred_thousand_latin_letters_are_one_unknown_token() -> None:
    assert JiebaWordPiece(WORDPIECE).tokenize("a" * 100_000) == ["[UNK]"]
