"""Plants edited copies among real texts, and says which of them `dedup` finds, how alike they are, and what it costs.

`python -m tests.bench.near_duplicates [--data DIR] [--texts N] [--similarity S]`. Each line is one kind of edit: the
share of all planted copies that are found, and of those that are as similar as asked by the exact similarity of their
shingles (recall); and the share of found pairs that are so (precision).
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tasks.dedup.banding import layout_for
from tasks.dedup.grouping import Members, group_documents
from tasks.dedup.signatures import SHINGLE_CHARS, normalize, signatures, text_digest
from tests.support.availability import find_test_data

Edit = Callable[[str, int, random.Random], str]
FILES = ("news_xwlb/train.jsonl.gz", "tech_lctt/train.jsonl.gz")
#: Characters of a text, so that a hundredth of it is a few.
LEAST_CHARS, MOST_CHARS = 200, 3000
PERCENTS = (1, 2, 3, 5, 10)
#: Texts signed at a time.
BATCH = 200


def texts_of(paths: Sequence[Path], number: int) -> list[str]:
    """Return the normalized beginnings of so many texts of each file."""
    return [text for path in paths for text in islice(_long_texts(path), number // len(paths))]


def _long_texts(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            text = normalize(json.loads(line).get("text") or "")[:MOST_CHARS]
            if len(text) >= LEAST_CHARS:
                yield text


def replace_scattered(text: str, percent: int, source: random.Random) -> str:
    """Replace single characters anywhere."""
    characters = list(text)
    for place in source.sample(range(len(text)), len(text) * percent // 100):
        characters[place] = chr(0x4E00 + source.randrange(5000))
    return "".join(characters)


def cut_out(text: str, percent: int, source: random.Random) -> str:
    """Leave one stretch out."""
    length = len(text) * percent // 100
    start = source.randrange(len(text) - length)
    return text[:start] + text[start + length :]


def rewrite_stretch(text: str, percent: int, source: random.Random) -> str:
    """Put other characters in place of one stretch."""
    length = len(text) * percent // 100
    start = source.randrange(len(text) - length)
    return text[:start] + "".join(chr(0x4E00 + source.randrange(5000)) for _ in range(length)) + text[start + length :]


def group_texts(texts: Sequence[str], similarity: float) -> Members:
    """Group texts by the program's own signatures, in the order in which they are given."""
    layout = layout_for(similarity)
    numbers = np.concatenate(
        [signatures(texts[start : start + BATCH], layout.slots) for start in range(0, len(texts), BATCH)]
    ).reshape(len(texts), layout.bands, layout.rows)
    digests = np.frombuffer(b"".join(map(text_digest, texts)), ">u8").astype(np.uint64).reshape(-1, 2)
    zeros = np.zeros(len(texts), np.int64)
    places = (zeros, np.arange(len(texts)), zeros)
    return group_documents(places, digests, lambda band: numbers[:, band], layout, similarity)


def jaccard(one: str, other: str) -> float:
    """Return the exact similarity of two texts' shingles."""
    left, right = ({text[start : start + SHINGLE_CHARS] for start in range(len(text) - 2)} for text in (one, other))
    return len(left & right) / len(left | right)


def measure(texts: Sequence[str], edit: Edit, percent: int, similarity: float) -> dict[str, Any]:
    """Plant an edited copy of each text and return the figures of what is found."""
    source = random.Random(percent)
    edited = [edit(text, percent, source) for text in texts]
    members = group_texts([*texts, *edited], similarity)
    group_of = dict(zip(members.document.tolist(), members.group.tolist(), strict=True))
    number = len(texts)
    exact = [jaccard(text, copy) for text, copy in zip(texts, edited, strict=True)]
    found = [place in group_of and group_of[place] == group_of.get(number + place) for place in range(number)]
    alike = [value >= similarity for value in exact]
    return {
        "edit": edit.__name__,
        "percent": percent,
        "similarity": sum(exact) / number,
        "found": sum(found) / number,
        "recall": _share(found, alike),
        "precision": _share(alike, found),
    }


def _share(of: Sequence[bool], among: Sequence[bool]) -> float:
    chosen = [one for one, counts in zip(of, among, strict=True) if counts]
    return sum(chosen) / len(chosen) if chosen else float("nan")


def main() -> int:
    """Print one line for each kind of edit and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=find_test_data())
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--similarity", type=float, default=0.8)
    given = parser.parse_args()
    if given.data is None:
        sys.stderr.write("name the directory of the test texts with --data, or by HANMILL_TEST_DATA\n")
        return 2
    texts = list(dict.fromkeys(texts_of([given.data / name for name in FILES], given.texts)))
    started_s = time.process_time()
    sys.stdout.write(f"{'edit':18} {'percent':>7} {'similarity':>10} {'found':>7} {'recall':>7} {'precision':>9}\n")
    for edit in (replace_scattered, rewrite_stretch, cut_out):
        for percent in PERCENTS:
            row = measure(texts, edit, percent, given.similarity)
            shown = (f"{row[name]:.3f}" for name in ("similarity", "found", "recall", "precision"))
            sys.stdout.write("{:18} {:>7} {:>10} {:>7} {:>7} {:>9}\n".format(row["edit"], percent, *shown))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(f"{len(texts):,} texts; {time.process_time() - started_s:.1f} s, {peak_mb:.0f} MB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
