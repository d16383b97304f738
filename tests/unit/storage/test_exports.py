from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import zstandard

from storage import exports
from storage.errors import UsageError
from storage.exports import Row, format_of, write_export

#: Words that have hurt CSV files before.
COUNTS: list[Row] = [
    {"word": word, "count": 3, "documents": 2}
    for word in ("明月", '"', ",", "\n", "\r", "\r\n", " ", "=1+1", "\u2028", "a\tb", "", "😀")
]
TOKENS: list[Row] = [{"key": "春晓", "tokens": ["春眠", '"', "\n", "，"]}, {"key": "空", "tokens": []}]
SUMMARIES: list[Row] = [
    {"key": "春晓", "summary": '花落，"知"多少', "model": "a" * 64, "spans": [[0, 2], [18, 23]]},
    {"key": "空", "summary": "生成的", "model": "b" * 64, "spans": []},
]
LABELS: list[Row] = [
    {"key": "春晓", "labels": [{"label": "诗，词", "score": 0.97}, {"label": "春", "score": 0.5}]},
    {"key": "空", "labels": []},
]
DOCUMENT_RESULTS = pytest.mark.parametrize(
    ("what", "given"), [("tokens", TOKENS), ("summaries", SUMMARIES), ("labels", LABELS)]
)


def opened(path: Path) -> bytes:
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return zstandard.ZstdDecompressor().decompressobj().decompress(path.read_bytes())
    return path.read_bytes()


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv_gives_every_word_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"counts.csv{suffix}"
    assert write_export(path, "counts", COUNTS) == len(COUNTS)
    rows = list(csv.DictReader(io.StringIO(opened(path).decode("utf-8"), newline="")))
    assert [row["word"] for row in rows] == [row["word"] for row in COUNTS]
    assert rows[0] == {"word": "明月", "count": "3", "documents": "2"}


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@DOCUMENT_RESULTS
def test_json_lines_give_every_row_back(what: str, given: list[Row], suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"{what}.jsonl{suffix}"
    assert write_export(path, what, given) == 2
    assert [json.loads(line) for line in opened(path).decode("utf-8").split("\n") if line] == given


@DOCUMENT_RESULTS
def test_lists_in_csv_are_json(what: str, given: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    write_export(path, what, given)
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
    for row, expected in zip(rows, given, strict=True):
        lists = {name: json.loads(cell) for name, cell in row.items() if isinstance(expected[name], list)}
        assert {**row, **lists} == expected


@DOCUMENT_RESULTS
def test_parquet_has_lists_and_records_of_its_own(what: str, given: list[Row], tmp_path: Path) -> None:
    path = tmp_path / "results.parquet"
    assert write_export(path, what, given) == 2
    assert pq.read_table(path).to_pylist() == given


def test_parquet_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH_ROWS", 5)
    path = tmp_path / "counts.parquet"
    assert write_export(path, "counts", COUNTS) == len(COUNTS)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path).to_pylist() == COUNTS


@DOCUMENT_RESULTS
def test_a_batch_of_long_texts_ends_early(
    what: str, given: list[Row], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long, short = given
    monkeypatch.setattr(exports, "BATCH_CHARACTERS", exports._characters(list(long.values())))
    path = tmp_path / "results.parquet"
    write_export(path, what, [long, short, long, {**short, "key": "末"}])
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path).num_rows == 4


def test_equal_results_give_equal_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    write_export(first, "counts", COUNTS)
    write_export(second, "counts", COUNTS)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl.gz", "a.parquet"])
def test_an_export_that_breaks_off_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"before")

    def breaking() -> Iterator[Row]:
        yield COUNTS[0]
        message = "the database went away"
        raise RuntimeError(message)

    with pytest.raises(RuntimeError, match="went away"):
        write_export(path, "counts", breaking())
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.txt", "a", "a.gz", "a.parquet.gz", "a.csv.bz2"])
def test_a_name_that_says_no_format_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"an export ends in \.csv"):
        format_of(Path(name))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_export(tmp_path / "missing" / "a.csv", "counts", COUNTS)
