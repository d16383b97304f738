"""Compares the tokens of the fast engine with jieba's, text by text, on everything in the test data.

`python -m tests.bench.exact_tokens [--data DIR] [--limit-mb N]`. Any difference is printed and makes the exit code 1.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path

import numpy as np

from tasks.text.fast_vocabulary import load_fast_vocabulary
from tasks.text.jieba_engine import JiebaSegmenter, load_vocabulary
from tasks.text.rjieba_engine import FastSegmenter
from tasks.text.segmenter import SegmenterOptions, segmenter_identity
from tasks.text.word_numbers import WordNumbers, by_text
from tests.support.availability import find_test_data

OPTIONS = tuple(SegmenterOptions(mode, hmm) for mode in ("precise", "search") for hmm in (True, False))
#: What is compared at a time, by one process, and read as one text by the fast engine too.
CHUNK_CHARS = 300_000
#: Characters about a difference that are shown.
SHOWN_CHARS = 40


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing one chunk came to."""

    size_bytes: int
    tokens: int
    differences: list[str]
    jieba_s: float
    fast_s: float


def texts_of(path: Path) -> Iterator[str]:
    """Yield every string in the records of a file: texts, titles, summaries."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from (value for name, value in json.loads(line).items() if name != "id" and isinstance(value, str))


def chunks_of(paths: list[Path], limit_bytes: int) -> Iterator[list[str]]:
    """Yield texts in chunks, of every file no more than its share of the limit."""
    for path in paths:
        chunk: list[str] = []
        chars, left = 0, limit_bytes // len(paths)
        for text in texts_of(path):
            chunk.append(text)
            chars += len(text)
            left -= len(text.encode())
            if chars >= CHUNK_CHARS:
                yield chunk
                chunk, chars = [], 0
            if left <= 0:
                break
        if chunk:
            yield chunk


def compare(texts: list[str]) -> Compared:
    """Compare both engines on every text, in every mode: together in order, and for counting."""
    tokens, differences, jieba_s, fast_s = 0, [], 0.0, 0.0
    for options in OPTIONS:
        plain, fast = engines(options)
        started = time.process_time()
        expected = plain.cut_joined(texts)
        jieba_s += time.process_time() - started
        started = time.process_time()
        found = fast.cut_joined(texts)
        fast_s += time.process_time() - started
        tokens += len(expected)
        if found != expected:
            differences += [
                difference(options, text, plain, fast) for text in texts if plain.cut(text) != fast.cut(text)
            ]
            differences = differences or [f"{options}: texts cut together differ from texts cut alone"]
        if not are_counted_alike(fast, texts, expected):
            differences.append(f"{options}: texts cut for counting differ from texts cut in order")
    return Compared(sum(len(text.encode()) for text in texts), tokens, differences, jieba_s, fast_s)


def are_counted_alike(fast: FastSegmenter, texts: list[str], expected: list[str]) -> bool:
    """Say whether texts that are cut in no order, for counting, have the very tokens."""
    numbers = WordNumbers()
    ordered, counted = (
        np.sort(tokens.texts << 32 | tokens.words)
        for tokens in (by_text(numbers.of(expected)), fast.cut_numbered(texts, numbers))
    )
    return np.array_equal(ordered, counted)


def engines(options: SegmenterOptions) -> tuple[JiebaSegmenter, FastSegmenter]:
    """Return both engines; a process makes their dictionary once."""
    cache_dir = Path(tempfile.gettempdir()) / "hanmill-exact-tokens"
    vocabulary = load_fast_vocabulary(b"", cache_dir)
    assert vocabulary is not None
    identity = segmenter_identity(options)
    plain = JiebaSegmenter(identity, load_vocabulary(b"", cache_dir), options.mode, hmm=options.hmm)
    return plain, FastSegmenter(identity, vocabulary, options.mode, hmm=options.hmm)


def difference(options: SegmenterOptions, text: str, plain: JiebaSegmenter, fast: FastSegmenter) -> str:
    """Return where the tokens of a text begin to differ, and how."""
    pairs = zip(plain.cut(text), fast.cut(text), strict=False)
    at = next((number for number, (one, other) in enumerate(pairs) if one != other), 0)
    around = slice(max(at - 2, 0), at + 5)
    return f"{options}: jieba {plain.cut(text)[around]}, fast {fast.cut(text)[around]} in {text[:SHOWN_CHARS]!r} …"


def tell(line: str) -> None:
    """Print a line at once, also into a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Compare everything and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=find_test_data())
    parser.add_argument("--limit-mb", type=float, default=1e6)
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit("there is no test data: name its directory by --data or HANMILL_TEST_DATA")
    paths = sorted(arguments.data.glob("**/*.jsonl.gz"))
    sums = Compared(0, 0, [], 0.0, 0.0)
    with Pool(arguments.processes) as pool:
        for done in pool.imap_unordered(compare, chunks_of(paths, int(arguments.limit_mb * 1e6))):
            for line in done.differences:
                tell(line)
            sums = Compared(
                sums.size_bytes + done.size_bytes,
                sums.tokens + done.tokens,
                sums.differences + done.differences,
                sums.jieba_s + done.jieba_s,
                sums.fast_s + done.fast_s,
            )
    modes = ", ".join(f"{options.mode}{'' if options.hmm else ' without guessing'}" for options in OPTIONS)
    tell(f"{sums.size_bytes / 1e6:.1f} MB of text in {len(paths)} files; modes: {modes}; {sums.tokens:,} tokens;")
    tell(f"{len(sums.differences)} texts differ. Processor time: jieba {sums.jieba_s:.0f} s, fast {sums.fast_s:.0f} s.")
    sys.exit(1 if sums.differences else 0)


if __name__ == "__main__":
    main()
