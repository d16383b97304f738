"""Fifty thousand small files beside the same text in one file: what the files themselves cost.

    python -m tests.bench.small_files [--files 50000] [--characters 300] [--workers 2]

Prints the seconds of `hanmill run` over a tree of `.txt` files and over one `.jsonl`, and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.whole_job import corpus_texts, describe_run

#: Files of one directory of the tree.
FILES_PER_FOLDER = 1000


def main() -> None:
    """Run the comparison and print it as JSON."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="hanmill-bench-"))
    try:
        size_bytes = _write(folder, options.files, options.characters)
        # One file first: what the first run warms (the compiled dictionary) would otherwise count for the files.
        one = _run(folder, folder / "one.jsonl", "one", options.workers)
        tree = _run(folder, folder / "tree", "tree", options.workers)
        result: dict[str, Any] = {
            **describe_run(),
            "files": options.files,
            "text_mb": round(size_bytes / 1e6, 1),
            "workers": options.workers,
            "one_jsonl_s": one["wall_s"],
            "tree_of_txt_s": tree["wall_s"],
            "ratio": round(tree["wall_s"] / one["wall_s"], 2),
            "same_tokens": one["tokens"] == tree["tokens"],
        }
        print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--characters", type=int, default=300, help="of each file")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def pieces_of(characters: int) -> Iterator[str]:
    """Yield the texts in pieces of so many characters, but none of white space alone."""
    for text in corpus_texts():
        for start in range(0, len(text), characters):
            piece = text[start : start + characters]
            if piece.strip():
                yield piece


def _write(folder: Path, files: int, characters: int) -> int:
    size_bytes = 0
    with (folder / "one.jsonl").open("w", encoding="utf-8") as one:
        for number, piece in enumerate(islice(pieces_of(characters), files)):
            path = folder / "tree" / f"{number // FILES_PER_FOLDER:03}" / f"{number:06}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(piece.encode())
            one.write(json.dumps({"text": piece}, ensure_ascii=False) + "\n")
            size_bytes += len(piece.encode())
    return size_bytes


def _run(folder: Path, source: Path, corpus: str, workers: int) -> dict[str, Any]:
    mill = str(Path(sys.executable).with_name("hanmill"))
    command = [mill, "run", str(source), "--corpus", corpus, "--workers", str(workers), "--format", "json"]
    environment = {**os.environ, "HANMILL_HOME": str(folder / f"home-{corpus}")}
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    (job,) = json.loads(done.stdout)["jobs"]
    return {"wall_s": round(time.perf_counter() - started, 1), "tokens": job["tokens"]}


if __name__ == "__main__":
    main()
