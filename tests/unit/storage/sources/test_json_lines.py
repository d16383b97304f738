"""One JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.sources import MAX_KEY_CHARS, BadRecord, ReaderOptions, Record, read
from storage.sources.json_lines import MOST_NESTED

PLAIN = ReaderOptions("jsonl")
KEYED = ReaderOptions("jsonl", key_field="id")


def _read(tmp_path: Path, data: bytes, options: ReaderOptions = PLAIN) -> list[Record | BadRecord]:
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    return list(read(str(path), options))


def test_every_object_is_a_document_addressed_by_its_bytes(tmp_path: Path) -> None:
    uri = str(tmp_path / "a.jsonl")
    first, second = '{"text":"甲"}\r\n'.encode(), b'{"text":""}'
    assert _read(tmp_path, first + b" \n" + second) == [
        Record(f"{uri}@0", "甲", 0, len(first)),
        Record(f"{uri}@{len(first) + 2}", "", len(first) + 2, len(second)),
    ]


def test_keys_are_strings_or_integers(tmp_path: Path) -> None:
    records = _read(tmp_path, b'{"text":"a","id":"x"}\n{"text":"b","id":12}\n', KEYED)
    assert [record.key for record in records] == ["x", "12"]


@pytest.mark.parametrize("data", [b'{"text":"a","text":"b"}', b'{"text":"b","n":NaN}', b'\xef\xbb\xbf{"text":"b"}'])
def test_lax_json_is_tolerated(tmp_path: Path, data: bytes) -> None:
    (record,) = _read(tmp_path, data)
    assert isinstance(record, Record)
    assert record.text == "b"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "broken_json"),
        (b'{"text": "a"', "broken_json"),
        (b"[" * 100_000, "broken_json"),
        (b'{"text": "a", "n": ' + b"1" * 5000 + b"}", "broken_json"),
        (b"[1]", "not_an_object"),
        (b"null", "not_an_object"),
        (b'{"body": "a"}', "missing_field"),
        (b'{"text": 1}', "not_a_string"),
        (b'{"text": null}', "not_a_string"),
        (b'{"text": "a\\u0000b"}', "nul"),
        (b'{"text": "a\x00b"}', "nul"),
        (b'{"text": "\\ud800"}', "surrogate"),
        (b'{"text": "\xff"}', "undecodable"),
    ],
)
def test_a_bad_line_says_why_and_costs_nothing_else(tmp_path: Path, line: bytes, reason: str) -> None:
    before, bad, after = _read(tmp_path, b'{"text":"a"}\n' + line + b'\n{"text":"b"}\n')
    assert isinstance(before, Record)
    assert isinstance(after, Record)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.line, bad.offset, bad.length) == (reason, 2, 13, len(line) + 1)


def test_a_pair_of_surrogates_is_a_character(tmp_path: Path) -> None:
    (record,) = _read(tmp_path, b'{"text": "\\ud840\\udc00"}')
    assert isinstance(record, Record)
    assert record.text == "𠀀"


@pytest.mark.parametrize(
    "key", [None, "", 1.5, True, ["a"], "a\0", "\ud800", "键" * (MAX_KEY_CHARS + 1), 10**MAX_KEY_CHARS]
)
def test_a_key_that_names_nothing_is_bad(tmp_path: Path, key: object) -> None:
    (bad,) = _read(tmp_path, json.dumps({"text": "a", "id": key}).encode(), KEYED)
    assert isinstance(bad, BadRecord)
    assert bad.reason == "bad_key"


def test_a_missing_key_is_bad(tmp_path: Path) -> None:
    (bad,) = _read(tmp_path, b'{"text":"a"}', KEYED)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.key) == ("bad_key", None)


def test_a_bad_text_is_told_with_its_key(tmp_path: Path) -> None:
    (bad,) = _read(tmp_path, b'{"text":1,"id":"k"}', KEYED)
    assert isinstance(bad, BadRecord)
    assert (bad.reason, bad.key) == ("not_a_string", "k")


def test_a_missing_field_names_those_that_are_there(tmp_path: Path) -> None:
    (bad,) = _read(tmp_path, '{"标题":"a","body":"b"}'.encode())
    assert isinstance(bad, BadRecord)
    assert "标题, body" in bad.detail


def test_inside_a_range_the_line_is_not_known(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"{}\n{\n")
    (bad,) = read(str(path), PLAIN, 3, -1)
    assert isinstance(bad, BadRecord)
    assert bad.line is None


@pytest.mark.parametrize(("inner", "is_document"), [(MOST_NESTED - 1, True), (MOST_NESTED, False)])
def test_how_deep_brackets_may_be_nested_does_not_depend_on_the_stack(
    tmp_path: Path, inner: int, is_document: bool
) -> None:
    line = b'{"text":"a","n":' + b"[" * inner + b"]" * inner + b"}"

    def read_from(depth: int) -> list[Record | BadRecord]:
        return read_from(depth - 1) if depth else _read(tmp_path, line)

    for depth in (0, 500):
        (item,) = read_from(depth)
        assert isinstance(item, Record) is is_document
        assert is_document or (isinstance(item, BadRecord) and item.reason == "broken_json")


def test_brackets_in_strings_and_beside_each_other_nest_nothing(tmp_path: Path) -> None:
    line = json.dumps({"text": '[{"\\' * MOST_NESTED, "spans": [[1, 2]] * MOST_NESTED}).encode()
    (record,) = _read(tmp_path, line)
    assert isinstance(record, Record)
