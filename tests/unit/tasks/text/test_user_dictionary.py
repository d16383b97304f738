"""User dictionaries: what jieba would silently misread is refused, what it understands is not."""

from __future__ import annotations

import pytest

from tasks.text.jieba_engine import import_jieba
from tasks.text.user_dictionary import ENTRY, DictionaryError, check_user_dictionary, user_dictionary_digest


@pytest.mark.parametrize(
    "line",
    [
        "云计算",
        "云计算 5",
        "云计算 5 n",
        "凱特琳 nz",
        "Edu Trust认证 2000",
        "孙悟空 0",
        "100",
        "GB 2312 标准",
        "C++ 3 eng",
    ],
)
def test_lines_that_jieba_understands_are_accepted(line: str) -> None:
    check_user_dictionary(line.encode())


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_and_blank_lines_and_crlf_are_accepted(mark: bytes, line_end: bytes) -> None:
    check_user_dictionary(mark + line_end.join(["云计算 5".encode(), b"", b"  ", "好用".encode(), b""]))


def test_a_file_with_nothing_in_it_is_accepted() -> None:
    check_user_dictionary(b"")
    check_user_dictionary(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    "line",
    [
        "云计算\t5",
        "云计算  5",
        "云计算 -5",
        "云计算 3.5",
        "云计算 1,000 n",
        "云计算 5 NR",
        "云计算 ５",
        "云计算 5 n1",
        "云\x00计算",
        "云\r计算",
        "云计算 " + "9" * 5000,
    ],
)
def test_a_line_that_jieba_would_misread_is_named_with_number_and_content(line: str) -> None:
    with pytest.raises(DictionaryError) as caught:
        check_user_dictionary(f"好用 300\n\n{line}\n".encode())
    assert caught.value.line_number == 3
    assert caught.value.content == line
    assert "user dictionary, line 3" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(DictionaryError, match=r"line 2: not UTF-8.*xd4"):
        check_user_dictionary("好用\n".encode() + "云计算 5".encode("gbk"))


def test_the_pattern_of_an_entry_is_still_the_one_of_jieba() -> None:
    reference = import_jieba().re_userdict
    for line in ("云计算", "云计算 5", "云计算 5 n", "凱特琳 nz", "Edu Trust认证 2000", "云计算 5 NR", "a b c 1 d e"):
        entry = ENTRY.match(line)
        assert entry is not None
        assert entry.groups() == reference.match(line).groups()


def test_equal_dictionaries_have_equal_digests() -> None:
    assert user_dictionary_digest(b"a") == user_dictionary_digest(b"a") != user_dictionary_digest(b"b")
