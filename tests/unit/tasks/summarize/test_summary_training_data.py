"""Documents with summaries, read from JSON Lines."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from tasks.summarize.training_data import Pair, TrainingDataError, pairs_digest, read_pairs


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")
    return path


def test_titles_are_read_and_records_without_one_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "甲", "title": "乙"}, {"text": "丙"}, {"text": "丁", "title": ""})
    assert read_pairs(path) == [Pair("甲", "乙")]


def test_the_field_is_the_one_named_or_the_first_that_is_there(tmp_path: Path) -> None:
    both = write(tmp_path / "a.jsonl", {"text": "甲", "title": "乙", "summary": "丙"})
    assert read_pairs(both) == [Pair("甲", "乙")]
    assert read_pairs(both, "summary") == [Pair("甲", "丙")]
    only = write(tmp_path / "b.jsonl", {"text": "甲", "summary": "丙"}, {"text": "甲", "title": "丁", "summary": "戊"})
    assert read_pairs(only) == [Pair("甲", "丙"), Pair("甲", "戊")]


def test_gzip_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress('{"text": "甲", "title": "乙"}\n\n'.encode()))
    assert read_pairs(path) == [Pair("甲", "乙")]


def test_broken_lines_are_named_together(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "甲", "title": "乙"}\n{"text"\n[1]\n{"text": " "}\n{"text": "甲", "title": 3}\n', "utf-8")
    with pytest.raises(TrainingDataError) as caught:
        read_pairs(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: line 2: is no JSON")
    assert "line 3: is JSON of type list" in message
    assert "line 4: has no `text`" in message
    assert "line 5: `title` is int" in message


def test_many_broken_lines_are_counted(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match=r"line 5: .* \(and 7 more\)"):
        read_pairs(write(tmp_path / "a.jsonl", *range(12)))


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe", "is not UTF-8"), (b"", "no record"), (b'{"text": "a"}', "title or summary")]
)
def test_a_file_without_pairs_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.jsonl").write_bytes(content)
    with pytest.raises(TrainingDataError, match=said):
        read_pairs(tmp_path / "a.jsonl")


def test_a_missing_file_and_a_broken_archive_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingDataError, match="cannot be read"):
        read_pairs(tmp_path / "none.jsonl")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a", "title": "b"}\n' * 9)[:-10])
    with pytest.raises(TrainingDataError, match="cannot be read"):
        read_pairs(tmp_path / "a.jsonl.gz")


def test_a_digest_stands_for_pairs_in_their_order() -> None:
    one, two = Pair("甲", "乙"), Pair("甲乙", "")
    assert pairs_digest([one, two]) == pairs_digest([one, two])
    assert len({pairs_digest(pairs) for pairs in ([one, two], [two, one], [one], [])}) == 4
