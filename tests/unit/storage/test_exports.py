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
def test_json_lines_give_every_row_back(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"tokens.jsonl{suffix}"
    assert write_export(path, "tokens", TOKENS) == 2
    assert [json.loads(line) for line in opened(path).decode("utf-8").split("\n") if line] == TOKENS


def test_tokens_in_csv_are_a_json_list(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    write_export(path, "tokens", TOKENS)
    rows = list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8"), newline="")))
    assert [json.loads(row["tokens"]) for row in rows] == [row["tokens"] for row in TOKENS]


def test_parquet_is_written_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH_ROWS", 5)
    path = tmp_path / "counts.parquet"
    assert write_export(path, "counts", COUNTS) == len(COUNTS)
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path).to_pylist() == COUNTS


def test_a_batch_of_long_texts_ends_early(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BATCH_CHARACTERS", 4)
    path = tmp_path / "tokens.parquet"
    write_export(path, "tokens", [*TOKENS, *TOKENS])
    assert pq.ParquetFile(path).num_row_groups == 3
    assert pq.read_table(path).to_pylist() == [*TOKENS, *TOKENS]


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
