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
from typing import IO, Any

from sqlalchemy import Connection

from storage import duplicates, keywords, label_scores, summaries, tokens
from storage.engine import sort_on_disk
from storage.errors import UsageError
from storage.export_columns import COLUMNS, Holds
from storage.word_counts import by_count

Row = Mapping[str, Any]

SUFFIXES = (".csv", ".jsonl", ".parquet")
#: What can also be written to a .txt, a line a row: new words as `--user-dict` and jieba read them.
LINES: dict[str, Callable[[Row], str]] = {"new-words": lambda row: f"{row['word']} {row['count']}"}
COMPRESSIONS = (".gz", ".zst")
#: A batch of a Parquet file ends at so many rows, …
BATCH_ROWS = 10_000
#: … or when its texts have so many characters.
BATCH_CHARACTERS = 8_000_000
#: Bytes of text gathered before they are compressed.
BUFFER_BYTES = 1024 * 1024


def count_rows_of(connection: Connection, generation_id: int) -> Iterator[Row]:
    """Yield the rows of word counts, the most frequent first."""
    sort_on_disk(connection)
    for word, count, documents in by_count(connection, generation_id):
        yield {"word": word, "count": count, "documents": documents}


def token_rows_of(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[Row]:
    """Yield the rows of tokens, in order of the keys."""
    sort_on_disk(connection)
    yield from tokens.export_rows(connection, corpus_id, fingerprint)


def summary_rows_of(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[Row]:
    """Yield the rows of summaries, in order of the keys."""
    sort_on_disk(connection)
    yield from summaries.export_rows(connection, corpus_id, fingerprint)


def label_rows_of(
    connection: Connection, corpus_id: int, fingerprint: str, threshold: float | None = None
) -> Iterator[Row]:
    """Yield the rows of labels, in order of the keys.

    The labels are those that were decided, or with a threshold those of at least that probability: 0 gives all.
    """
    sort_on_disk(connection)
    if threshold is None:
        yield from label_scores.decided_rows(connection, corpus_id, fingerprint)
    else:
        yield from label_scores.scored_rows(connection, corpus_id, fingerprint, threshold)


def keyword_rows_of(connection: Connection, corpus_id: int, fingerprint: str) -> Iterator[Row]:
    """Yield the rows of keywords, in order of the keys."""
    sort_on_disk(connection)
    yield from keywords.export_rows(connection, corpus_id, fingerprint)


def duplicate_rows_of(connection: Connection, generation_id: int) -> Iterator[Row]:
    """Yield the members of all groups of duplicates, by group and by number in it."""
    sort_on_disk(connection)
    yield from duplicates.export_rows(connection, generation_id)


def write_export(path: Path, what: str, rows: Iterable[Row]) -> int:
    """Write rows to a file in the format of its name; return how many. `what` is one of `COLUMNS`.

    Raises `UsageError` when the name has no known suffix or the file cannot be written.
    """
    form, compression = format_of(path, what)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with _finished(unfinished, path):
            if form == ".parquet":
                return _write_parquet(unfinished, what, rows)
            with _text(unfinished, compression) as stream:
                if form == ".txt":
                    return _write_lines(stream, what, rows)
                return _write_csv(stream, what, rows) if form == ".csv" else _write_jsonl(stream, rows)
    except OSError as error:
        message = f"{path} cannot be written: {error.strerror or error}"
        raise UsageError(message) from error


def format_of(path: Path, what: str = "") -> tuple[str, str]:
    """Return the suffixes that say what is written: `a.jsonl.gz` -> `(".jsonl", ".gz")`; raises `UsageError`."""
    compression = path.suffix.lower() if path.suffix.lower() in COMPRESSIONS else ""
    form = (Path(path.stem) if compression else path).suffix.lower()
    if form == ".txt" and what in LINES:
        return form, compression
    if form not in SUFFIXES or (compression and form == ".parquet"):
        message = f"{path.name}: an export ends in .csv, .jsonl or .parquet; .csv and .jsonl also in .gz or .zst"
        message += f"; {what} in .txt too, as a list for --user-dict" if what in LINES else ""
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


def _write_csv(stream: IO[str], what: str, rows: Iterable[Row]) -> int:
    # With "\r\n" as line end, the writer quotes a word that holds either of the two; with "\n" it would not.
    writer = csv.writer(stream, lineterminator="\r\n")
    columns = list(COLUMNS[what])
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


def _write_lines(stream: IO[str], what: str, rows: Iterable[Row]) -> int:
    line_of, written = LINES[what], 0
    for row in rows:
        stream.write(line_of(row) + "\n")
        written += 1
    return written


def _write_jsonl(stream: IO[str], rows: Iterable[Row]) -> int:
    written = 0
    for row in rows:
        stream.write(_json(row) + "\n")
        written += 1
    return written


def _write_parquet(path: Path, what: str, rows: Iterable[Row]) -> int:
    import pyarrow as pa  # noqa: PLC0415 - wanted for one suffix only
    import pyarrow.parquet as pq  # noqa: PLC0415

    columns = COLUMNS[what]
    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "texts": pa.list_(pa.string()),
        "spans": pa.list_(pa.list_(pa.int64())),
        "labels": pa.list_(pa.struct([("label", pa.string()), ("score", pa.float64())])),
        "keywords": pa.list_(pa.struct([("word", pa.string()), ("weight", pa.float64())])),
    }
    schema = pa.schema([(name, types[holds]) for name, holds in columns.items()])
    written = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for batch in _batches(rows, columns):
            writer.write_batch(pa.RecordBatch.from_pylist(batch, schema=schema))
            written += len(batch)
    return written


def _batches(rows: Iterable[Row], columns: Mapping[str, Holds]) -> Iterator[list[Row]]:
    with_text = [name for name, holds in columns.items() if holds not in {"integer", "number"}]
    batch: list[Row] = []
    characters = 0
    for row in rows:
        batch.append(row)
        characters += sum(_characters(row[name]) for name in with_text)
        if len(batch) == BATCH_ROWS or characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _characters(value: Any) -> int:
    """Return about how many characters a value takes in memory: those of all texts in it."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else 0
