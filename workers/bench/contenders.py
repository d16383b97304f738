"""The ways to count words that are measured beside each other, each run in a process of its own.

`python -m workers.bench.contenders NAME TEXTS PROCESSES` reads TEXTS (a JSON string a line) and prints what came of it
as JSON. All but the mill itself; that is `hanmill run`, which `contest` starts as a user does.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from tasks.count.shard_counts import ShardCounts
from tasks.text.jieba_engine import import_jieba
from tasks.text.segmenter import SegmenterOptions, open_segmenter

#: Documents that are counted into one small dictionary, as in https://kexue.fm/archives/7031.
BATCH_DOCUMENTS = 1000
#: Characters that the fast engine is given at a time.
CHUNK_CHARS = 300_000

Counts = Mapping[str, int]


def read_texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file that holds a JSON string a line."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def batches_of(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield the texts in batches."""
    remaining = iter(texts)
    while batch := list(islice(remaining, BATCH_DOCUMENTS)):
        yield batch


def loop(texts: Iterable[str], processes: int) -> Counts:  # noqa: ARG001 - every contender is called alike
    """Count as the reference does: one dictionary, one process."""
    cut = import_jieba().cut
    counts: dict[str, int] = {}
    for text in texts:
        for token in cut(text):
            counts[token] = counts.get(token, 0) + 1
    return counts


def small_dicts(texts: Iterable[str], processes: int) -> Counts:
    """Count batches into small dictionaries and add those up: one process."""
    total: dict[str, int] = {}
    for batch in batches_of(texts):
        merge_into(total, loop(batch, processes))
    return total


def pool(texts: Iterable[str], processes: int) -> Counts:
    """Count batches in a pool of processes; the parent adds the small dictionaries up."""
    total: dict[str, int] = {}
    with multiprocessing.get_context("fork").Pool(processes) as workers:
        for counts in workers.imap_unordered(_count_batch, batches_of(texts)):
            merge_into(total, counts)
    return total


def _count_batch(batch: list[str]) -> Counts:
    return loop(batch, 1)


def merge_into(total: dict[str, int], counts: Counts) -> None:
    """Add small counts to large ones."""
    for word, count in counts.items():
        total[word] = total.get(word, 0) + count


def parallel_jieba(texts: Iterable[str], processes: int) -> Counts:
    """Count with `jieba.enable_parallel`, which cuts the lines of a text in several processes."""
    jieba = import_jieba()
    jieba.enable_parallel(processes)
    counts: Counter[str] = Counter()
    # It sees lines, so that a batch of texts is given as one; a text of several lines is cut at them as well.
    for batch in batches_of(texts):
        counts.update(jieba.cut("\n".join(batch)))
        # The line ends between the texts are in no text.
        counts["\n"] -= len(batch) - 1
    jieba.disable_parallel()
    return {word: count for word, count in counts.items() if count}


def raw_rjieba(texts: Iterable[str], processes: int) -> Counts:  # noqa: ARG001 - every contender is called alike
    """Count with rjieba as it is, whose tokens are not quite jieba's."""
    import rjieba  # noqa: PLC0415 - one contender of several

    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(rjieba.cut(text))
    return counts


def engine(texts: Iterable[str], processes: int) -> Counts:  # noqa: ARG001 - every contender is called alike
    """Count with hanmill's engine as a worker does, document frequencies included, without queue and database."""
    segmenter = open_segmenter(SegmenterOptions(), None, _cache_dir())
    counts = ShardCounts()
    batch: list[str] = []
    chars = 0
    for text in texts:
        batch.append(text)
        chars += len(text)
        if chars >= CHUNK_CHARS:
            counts.add_numbered(segmenter.cut_numbered(batch, counts.numbers), len(batch))
            batch, chars = [], 0
    if batch:
        counts.add_numbered(segmenter.cut_numbered(batch, counts.numbers), len(batch))
    return counts.words()


def _cache_dir() -> Path:
    return Path(tempfile.gettempdir()) / "hanmill-bench-cache"


def _load_jieba() -> None:
    import_jieba().initialize()


def _load_engine() -> None:
    open_segmenter(SegmenterOptions(), None, _cache_dir())


def _load_rjieba() -> None:
    import rjieba  # noqa: PLC0415 - one contender of several

    rjieba.cut("开始")


#: Every contender with what loads its dictionary: that is done before the clock starts.
CONTENDERS: Mapping[str, tuple[Callable[[Iterable[str], int], Counts], Callable[[], None]]] = {
    "loop": (loop, _load_jieba),
    "small-dicts": (small_dicts, _load_jieba),
    "pool": (pool, _load_jieba),
    "jieba-parallel": (parallel_jieba, _load_jieba),
    "rjieba": (raw_rjieba, _load_rjieba),
    "engine": (engine, _load_engine),
}


def digest_of(counts: Counts) -> str:
    """Return what names some counts, the same in whatever order they stand."""
    digest = hashlib.sha256()
    for word in sorted(counts):
        digest.update(f"{counts[word]} {word}\0".encode())
    return digest.hexdigest()


def measure(name: str, texts: Path, processes: int) -> dict[str, Any]:
    """Run one contender and return its seconds, from the opened file to the counts, and what it counted."""
    count, load = CONTENDERS[name]
    load()
    started = time.perf_counter()
    counts = count(read_texts(texts), processes)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "words": len(counts), "tokens": sum(counts.values()), "digest": digest_of(counts)}


def main() -> None:
    """Measure the contender that the arguments name."""
    name, texts, processes = sys.argv[1:4]
    sys.stdout.write(json.dumps(measure(name, Path(texts), int(processes))) + "\n")


if __name__ == "__main__":
    main()
