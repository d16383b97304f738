"""Writes results to a file: CSV, JSON Lines or Parquet, the first two compressed if the name says so.

Rows are written as they come, so that memory does not grow with them. The file appears under its name when it is whole.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Literal

from sqlalchemy import Connection

from storage import label_scores, summaries, tokens
from storage.errors import UsageError
from storage.word_counts import by_count

What = Literal["counts", "tokens", "summaries", "labels"]
Row = Mapping[str, Any]

#: What can be exported, and the columns of each.
COLUMNS: dict[What, tuple[str, ...]] = {
    "counts": ("word", "count", "documents"),
    "tokens": ("key", "tokens"),
    "summaries": ("key", "summary", "model", "spans"),
    "labels": ("key", "labels"),
}
#: About how many characters a row takes in memory.
_ROW_CHARACTERS: dict[What, Callable[[Row], int]] = {
    "counts": lambda row: len(row["word"]),
    "tokens": lambda row: sum(map(len, row["tokens"])),
    "summaries": lambda row: len(row["summary"]),
    "labels": lambda row: sum(len(label["label"]) for label in row["labels"]),
}
SUFFIXES = (".csv", ".jsonl", ".parquet")
COMPRESSIONS = (".gz", ".zst")
#: A batch of a Parquet file ends at so many rows, …
BATCH_ROWS = 10_000
#: … or when its texts have so many characters.
BATCH_CHARACTERS = 8_000_000
#: Bytes of text gathered before they are compressed.
BUFFER_BYTES = 1024 * 1024


def count_rows_of(connection: Connection, generation_id: int) -> Iterator[Row]:
    """Yield the rows of word counts, the most frequent first."""
    _spill_to_disk(connection)
    for word, count, documents in by_count(connection, generation_id):
        yield {"word": word, "count": count, "documents": documents}


def token_rows_of(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[Row]:
    """Yield the rows of tokens, in order of the keys."""
    _spill_to_disk(connection)
    yield from tokens.export_rows(connection, corpus_id, fingerprint)


def summary_rows_of(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[Row]:
    """Yield the rows of summaries, in order of the keys."""
    _spill_to_disk(connection)
    yield from summaries.export_rows(connection, corpus_id, fingerprint)


def label_rows_of(
    connection: Connection, corpus_id: int, fingerprint: str, threshold: float | None = None
) -> Iterator[Row]:
    """Yield the rows of labels, in order of the keys.

    The labels are those that were decided, or with a threshold those of at least that probability: 0 gives all.
    """
    _spill_to_disk(connection)
    if threshold is None:
        yield from label_scores.decided_rows(connection, corpus_id, fingerprint)
    else:
        yield from label_scores.scored_rows(connection, corpus_id, fingerprint, threshold)


def _spill_to_disk(connection: Connection) -> None:
    # SQLite sorts millions of rows in memory unless it is told to use a file; PostgreSQL knows its work_mem.
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA temp_store=FILE")


def write_export(path: Path, what: What, rows: Iterable[Row]) -> int:
    """Write rows to a file in the format of its name; return how many.

    Raises `UsageError` when the name has no known suffix or the file cannot be written.
    """
    form, compression = format_of(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _finished(unfinished, path):
            if form == ".parquet":
                return _write_parquet(unfinished, what, rows)
            with _text(unfinished, compression) as stream:
                return _write_csv(stream, what, rows) if form == ".csv" else _write_jsonl(stream, rows)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise UsageError(message) from error


def format_of(path: Path) -> tuple[str, str]:
    """Return the suffixes that say what is written: `a.jsonl.gz` -> `(".jsonl", ".gz")`; raises `UsageError`."""
    compression = path.suffix.lower() if path.suffix.lower() in COMPRESSIONS else ""
    form = (Path(path.stem) if compression else path).suffix.lower()
    if form not in SUFFIXES or (compression and form == ".parquet"):
        message = f"{path.name}: an export ends in .csv, .jsonl or .parquet; .csv and .jsonl also in .gz or .zst"
        raise UsageError(message)
    return form, compression


@contextmanager
def _finished(unfinished: Path, path: Path) -> Iterator[None]:
    """Give a file its name when everything is in it, and leave nothing behind when it is not."""
    try:
        yield
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(path)
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)


@contextmanager
def _text(path: Path, compression: str) -> Iterator[IO[str]]:
    # Line ends are the writers' business: a carriage return in a word stays one.
    with path.open("wb") as raw, _compressed(raw, compression) as stream:
        text = io.TextIOWrapper(io.BufferedWriter(stream, BUFFER_BYTES), encoding="utf-8", newline="")
        yield text
        text.flush()
        # Let go of the stream, which is closed by who opened it.
        text.detach().detach()


@contextmanager
def _compressed(raw: IO[bytes], compression: str) -> Iterator[Any]:
    if compression == ".gz":
        # No name and no time inside: equal results give equal files.
        with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0) as stream:
            yield stream
    elif compression == ".zst":
        import zstandard  # noqa: PLC0415 - wanted for one suffix only

        with zstandard.ZstdCompressor().stream_writer(raw, closefd=False) as stream:
            yield stream
    else:
        yield raw


def _write_csv(stream: IO[str], what: What, rows: Iterable[Row]) -> int:
    # With "\r\n" as line end, the writer quotes a word that holds either of the two; with "\n" it would not.
    writer = csv.writer(stream, lineterminator="\r\n")
    columns = COLUMNS[what]
    writer.writerow(columns)
    written = 0
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
        written += 1
    return written


def _cell(value: Any) -> Any:
    return _json(value) if isinstance(value, list) else value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write_jsonl(stream: IO[str], rows: Iterable[Row]) -> int:
    written = 0
    for row in rows:
        stream.write(_json(row) + "\n")
        written += 1
    return written


def _write_parquet(path: Path, what: What, rows: Iterable[Row]) -> int:
    import pyarrow as pa  # noqa: PLC0415 - wanted for one suffix only
    import pyarrow.parquet as pq  # noqa: PLC0415

    types = {
        "count": pa.int64(),
        "documents": pa.int64(),
        "tokens": pa.list_(pa.string()),
        "spans": pa.list_(pa.list_(pa.int64())),
        "labels": pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())])),
    }
    schema = pa.schema([(column, types.get(column, pa.string())) for column in COLUMNS[what]])
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows, _ROW_CHARACTERS[what]):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            written += len(batch)
    return written


def _batches(rows: Iterable[Row], count_characters: Callable[[Row], int]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += count_characters(row)
        if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch
