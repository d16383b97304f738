"""Where clauses and sentences end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.text.clauses import MAX_CLAUSE_CHARS, MAX_SENTENCE_CHARS, clauses, sentences


def clause_texts(text: str) -> list[str]:
    return [text[start:end] for start, end in clauses(text)]


def sentence_texts(text: str) -> list[str]:
    return [text[start:end] for start, end in sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("他来了，我走了。再见！", ["他来了，", "我走了。", "再见！"]),
        ("目的：比较；方法？结果…完", ["目的：", "比较；", "方法？", "结果…", "完"]),
        ("第一行\n第二行\r\n第三行", ["第一行\n", "第二行\r\n", "第三行"]),
        # Abstracts with half-width marks and no spaces.
        ("结果表明,甲对乙的影响.方法:丙;丁", ["结果表明,", "甲对乙的影响.", "方法:", "丙;", "丁"]),
        ("采用ＰＣＲ．结果", ["采用ＰＣＲ．", "结果"]),
        ("用DNA.结果", ["用DNA.", "结果"]),
    ],
)
def test_marks_of_both_widths_end_clauses(text: str, expected: list[str]) -> None:
    assert clause_texts(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "圆周率约3.14倍",
        "版本v2.0发布",
        "共1,000个",
        "３．１４",
        "比例为1：3",
        "每天12:30开始",
        "访问example.com下载",
        "升级Ubuntu 14.10系统",
        "编辑.bashrc文件",
        "运行./configure脚本",
        "使用 .NET 平台",
        "Smith et al. 提出",
        "e.g. 苹果",
        "J. Smith的方法",
        "调用std::vector对象",
        "如果a!=b则",
        "见https://a.b/c?x=1,2;3页面",
        "法院（以下简称：一中院，下同）认为",
        "《你好，再见。》出版",
    ],
)
def test_marks_inside_numbers_names_and_brackets_end_nothing(text: str) -> None:
    assert clause_texts(text) == [text]


def test_a_list_number_stays_with_its_item() -> None:
    assert clause_texts("1. 安装\n10. 运行") == ["1. 安装\n", "10. 运行"]
    assert clause_texts("步骤：1.安装；2.运行") == ["步骤：", "1.安装；", "2.运行"]


def test_closing_quotes_brackets_and_white_space_stay_with_their_clause() -> None:
    assert clause_texts("他说：“你好。” 然后走了") == ["他说：", "“你好。” ", "然后走了"]
    assert clause_texts('他说:"你好."然后') == ["他说:", '"你好."', "然后"]
    assert clause_texts("（甲。\n乙。）丙") == ["（甲。\n", "乙。）", "丙"]


def test_commas_and_colons_end_no_sentence() -> None:
    assert sentence_texts("目的：甲，乙。丙；丁") == ["目的：甲，乙。", "丙；", "丁"]
    assert sentence_texts("苹果, 梨 etc., 都是水果……真的") == ["苹果, 梨 etc., 都是水果……", "真的"]


def test_an_empty_text_has_no_clauses_and_white_space_is_one() -> None:
    assert clauses("") == sentences("") == []
    assert clauses(" \n ") == sentences(" \n ") == [(0, 3)]


def test_white_space_at_the_start_belongs_to_the_first_clause() -> None:
    assert clause_texts("\n  前文，后文") == ["\n  前文，", "后文"]


@given(st.text(alphabet="中文ab1 ，。.,:!?;：\n“”（）()…/", max_size=300))
def test_pieces_cover_the_text_and_sentences_are_made_of_clauses(text: str) -> None:
    for pieces, limit in ((clauses(text), MAX_CLAUSE_CHARS), (sentences(text), MAX_SENTENCE_CHARS)):
        assert "".join(text[start:end] for start, end in pieces) == text
        assert all(0 < end - start <= limit for start, end in pieces)
    assert {end for _, end in sentences(text)} <= {end for _, end in clauses(text)}


MILLION = 1_000_000


@pytest.mark.parametrize(
    "unit", ["中", "。", "（", "a,b中,", ".a", " ", "\n", '."', ".)", "a://", "1. ", "😀", "word "]
)
def test_a_million_characters_of_anything_are_cut_at_the_stated_maximum(unit: str) -> None:
    text = (unit * MILLION)[:MILLION]
    pieces = clauses(text)
    assert pieces[0][0] == 0
    assert pieces[-1][1] == MILLION
    assert max(end - start for start, end in pieces) <= MAX_CLAUSE_CHARS
    assert max(end - start for start, end in sentences(text[: MILLION // 10])) <= MAX_SENTENCE_CHARS


def test_a_long_run_of_latin_words_is_cut_between_words() -> None:
    assert all(piece.endswith(" ") for piece in clause_texts("word " * 100))


def test_a_long_sentence_is_cut_at_a_clause_end() -> None:
    text = "天地玄黄，" * 200
    assert [len(piece) for piece in sentence_texts(text)] == [MAX_SENTENCE_CHARS, MAX_SENTENCE_CHARS, 200]
    assert all(piece.endswith("，") for piece in sentence_texts(text))
