"""How many of the keywords that authors gave their papers are found, by TF-IDF with two kinds of idf and by TextRank.

`python -m tests.bench.keywords_f1 [--data DIR]`. The abstracts of `csl` go through the mill, and beside it through
`jieba.analyse`; the exit code is 1 where the two differ. F1@5 is the mean over documents of the F1 of the first five
keywords against the author's, as whole strings; what is in no abstract, nobody who extracts can find.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from storage import keywords as keyword_rows
from storage.engine import reading
from storage.jobs import get
from storage.sources import ListingOptions
from tests.support.availability import find_test_data
from tests.support.inline_mill import InlineMill
from tests.support.jieba_analyse import jieba_extractor

#: Keywords of a document that are compared.
TOP = 5


def tell(line: str) -> None:
    """Print a line at once, also into a file."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def read(paths: Sequence[Path]) -> dict[str, dict[str, Any]]:
    """Return the records of some files by their ids."""
    records: dict[str, dict[str, Any]] = {}
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            records.update((record["id"], record) for record in map(json.loads, lines))
    return records


def f1(found: Sequence[str], given: Sequence[str]) -> float:
    """Return the F1 of the keywords that were found against those that were given."""
    right = len(set(found) & set(given))
    return 2 * right / (len(set(found)) + len(set(given))) if right else 0.0


def by_mill(mill: InlineMill, paths: Sequence[Path], **options: Any) -> tuple[dict[str, list[str]], float]:
    """Return the keywords of every document by the mill, and the processor time from the files to SQL, in seconds."""
    listing = ListingOptions(key_field="id")
    # Once with another number, so that everything is loaded.
    mill.run(paths, "csl", "keywords", options={"top_keywords": TOP + 1, **options}, listing=listing)
    started = time.process_time()
    (job_id,) = mill.run(paths, "csl", "keywords", options={"top_keywords": TOP, **options}, listing=listing)
    took_s = time.process_time() - started
    with reading(mill.parts.engine) as connection:
        job = get(connection, job_id)
        rows = keyword_rows.export_rows(connection, job.corpus_id, job.fingerprint)
        return {row["key"]: [one["word"] for one in row["keywords"]] for row in rows}, took_s


def by_jieba(
    extract: Callable[..., list[str]], records: dict[str, dict[str, Any]]
) -> tuple[dict[str, list[str]], float]:
    """Return the same by a function of `jieba.analyse`."""
    extract("先装入词典")
    started = time.process_time()
    found = {key: extract(record["text"], topK=TOP) for key, record in records.items()}
    return found, time.process_time() - started


def main() -> None:
    """Find keywords in every way, and say how many were right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=find_test_data())
    arguments = parser.parse_args()
    if arguments.data is None:
        sys.exit("there is no test data: name its directory by --data or HANMILL_TEST_DATA")
    paths = [arguments.data / "csl" / name for name in ("train.jsonl.gz", "dev.jsonl.gz")]
    records = read(paths)
    size_mb = sum(len(record["text"].encode()) for record in records.values()) / 1e6
    there = [word in record["text"] for record in records.values() for word in record["keywords"]]
    tell(
        f"{len(records)} abstracts, {size_mb:.2f} MB; {sum(there) / len(there):.1%} of the keywords stand in their text"
    )
    with tempfile.TemporaryDirectory(prefix="hm-") as home:
        mill = InlineMill(Path(home))
        mill.run(paths, "csl", "count", listing=ListingOptions(key_field="id"))
        found = {
            "tfidf, idf of the corpus": by_mill(mill, paths, idf="corpus"),
            "tfidf, idf of jieba": by_mill(mill, paths, idf="jieba"),
            "textrank": by_mill(mill, paths, method="textrank"),
            "jieba.analyse.extract_tags": by_jieba(jieba_extractor("tfidf").extract_tags, records),
            "jieba.analyse.textrank": by_jieba(jieba_extractor("textrank").textrank, records),
        }
        mill.parts.engine.dispose()
    for name, (words, took_s) in found.items():
        score = sum(f1(words[key], record["keywords"]) for key, record in records.items()) / len(records)
        tell(f"{name:28} F1@{TOP} {score:6.2%}   {size_mb / took_s:5.2f} MB/s")
    pairs = (("tfidf, idf of jieba", "jieba.analyse.extract_tags"), ("textrank", "jieba.analyse.textrank"))
    differ = sum(found[ours][0] != found[theirs][0] for ours, theirs in pairs)
    tell("the words of the mill and of jieba are the same" if not differ else "THE MILL AND JIEBA DIFFER")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
