"""What rows take on disk: bytes of PostgreSQL a row, and a MB of text, for every table that grows with the work.

    python -m tests.bench.row_sizes [--limit-mb 10] [--characters 800]

Runs count, tokenize and summarize over texts of the given length in this process, and asks the database. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import func, select, text

from storage.engine import Engine, reading
from storage.schema import metadata
from storage.sources import ListingOptions
from tests.bench.small_files import pieces_of
from tests.bench.whole_job import describe_run
from tests.support.inline_mill import InlineMill
from tests.support.postgres import fresh_database, running_postgres

#: Tables whose size depends on how much was computed.
TABLES = (
    "documents",
    "shards",
    "attempts",
    "tokens",
    "summaries",
    "partial_counts",
    "word_counts",
)


def main() -> None:
    """Run the operations and print the sizes as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit-mb", type=float, default=10.0)
    parser.add_argument("--characters", type=int, default=800, help="of each document")
    parser.add_argument("--shard-bytes", type=int, default=1024 * 1024)
    options = parser.parse_args()
    home = Path(tempfile.mkdtemp(prefix="hm-rows-"))
    try:
        source = home / "texts.jsonl"
        documents, size_bytes = _write(source, options.limit_mb * 1e6, options.characters)
        with running_postgres() as server, fresh_database(server) as url:
            mill = InlineMill(home / "home", url)
            order = {"shard_bytes": options.shard_bytes, "listing": ListingOptions(), "options": {"backend": "lead"}}
            mill.run([source], "rows", "count", "tokenize", "summarize", **order)
            result: dict[str, Any] = {
                **describe_run(),
                "documents": documents,
                "text_mb": round(size_bytes / 1e6, 1),
                "tables": _sizes(mill.parts.engine, size_bytes),
            }
            mill.parts.engine.dispose()
        print(json.dumps(result, indent=2))  # noqa: T201 - the result of a benchmark
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _write(path: Path, limit_bytes: float, characters: int) -> tuple[int, int]:
    documents, size_bytes = 0, 0
    with path.open("w", encoding="utf-8") as file:
        for piece in islice(pieces_of(characters), 1_000_000):
            file.write(json.dumps({"text": piece}, ensure_ascii=False) + "\n")
            documents += 1
            size_bytes += len(piece.encode())
            if size_bytes >= limit_bytes:
                break
    return documents, size_bytes


def _sizes(engine: Engine, text_bytes: int) -> dict[str, dict[str, int]]:
    sizes = {}
    with reading(engine) as connection:
        for name in TABLES:
            rows = connection.scalar(select(func.count()).select_from(metadata.tables[name])) or 0
            size = connection.scalar(text("SELECT pg_total_relation_size(:name)"), {"name": name}) or 0
            sizes[name] = {
                "rows": rows,
                "bytes": size,
                "bytes_per_row": round(size / rows) if rows else 0,
                "bytes_per_mb_of_text": round(size / (text_bytes / 1e6)),
            }
    return sizes


if __name__ == "__main__":
    main()
