from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from storage.errors import UsageError
from tasks.classify.training_data import LabelledTexts, read_labelled

GOOD = '{"text": "原告请求离婚。", "labels": ["离婚", "离婚"]}\n\n{"text": "本院认为。", "labels": []}\n'


@pytest.mark.parametrize("name", ["cases.jsonl", "cases.jsonl.gz"])
def test_labelled_texts_are_read_plain_and_compressed(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(gzip.compress(GOOD.encode()) if name.endswith(".gz") else GOOD.encode())
    read = read_labelled(path)
    assert list(read.texts) == ["原告请求离婚。", "本院认为。"]
    assert list(read.labels) == [["离婚"], []]
    assert read.names == ["离婚"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "no JSON"),
        ("[]", "no object with a `text`"),
        ('{"labels": []}', "no object with a `text`"),
        ('{"text": " ", "labels": []}', "`text` is empty"),
        ('{"text": "甲"}', "no list of names"),
        ('{"text": "甲", "labels": "乙"}', "no list of names"),
        ('{"text": "甲", "labels": [1]}', "no list of names"),
        ('{"text": "甲", "labels": [""]}', "no list of names"),
    ],
)
def test_a_bad_line_is_named_with_its_file(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "坏.jsonl"
    path.write_text(GOOD + line, encoding="utf-8")
    with pytest.raises(UsageError, match=f"坏.jsonl: line 4: .*{reason}"):
        read_labelled(path)


def test_of_many_bad_lines_the_first_are_named_and_the_rest_counted(tmp_path: Path) -> None:
    path = tmp_path / "many.jsonl"
    path.write_text("{\n" * 9, encoding="utf-8")
    with pytest.raises(UsageError, match="line 5") as caught:
        read_labelled(path)
    assert "line 6" not in str(caught.value)
    assert "and 4 more" in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n \n", gzip.compress(GOOD.encode())[:-20], b"no gzip"],
    # Compressed bytes hold the time: they would name the test otherwise in each process.
    ids=["empty", "blank", "cut", "no_gzip"],
)
def test_a_file_without_records_or_cut_short_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl.gz"
    path.write_bytes(content if content[:2] in {b"\x1f\x8b", b"no"} else gzip.compress(content))
    with pytest.raises(UsageError, match=r"cut\.jsonl\.gz"):
        read_labelled(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_labelled(tmp_path / "none.jsonl")


def test_every_third_text_is_kept_apart() -> None:
    texts = LabelledTexts([str(number) for number in range(7)], [[json.dumps(number)] for number in range(7)])
    rest, apart = texts.split(3)
    assert list(apart.texts) == ["0", "3", "6"]
    assert list(rest.texts) == ["1", "2", "4", "5"]
    assert list(rest.labels) == [["1"], ["2"], ["4"], ["5"]]
