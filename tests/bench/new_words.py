"""Discovers new words in the news and the articles, and segments the sentences cut by hand with and without them.

`python -m tests.bench.new_words [--data DIR] [--sets news_xwlb tech_lctt] [--top N]`. Precision, recall and F1 are
those of word spans, as the SIGHAN bakeoffs count them. Prints the best words too, to be looked at; JSON.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from storage import jobs
from storage.engine import reading
from storage.new_words import NewWordRow, by_score
from tasks.text.jieba_engine import JiebaSegmenter, load_vocabulary
from tests.support.availability import find_test_data
from tests.support.inline_mill import InlineMill

Cut = Callable[[str], list[str]]


def discover(paths: Sequence[Path], home: Path) -> tuple[list[NewWordRow], float]:
    """Return the new words of some files, the best first, and the seconds that they took in one process."""
    mill = InlineMill(home)
    started = time.perf_counter()
    (job_id,) = mill.run(paths, "corpus", "discover")
    elapsed_s = time.perf_counter() - started
    with reading(mill.parts.engine) as connection:
        generation = jobs.get(connection, job_id).generation_id
        return list(by_score(connection, generation or 0)), elapsed_s


def gold_sentences(path: Path) -> list[list[str]]:
    """Return sentences as lists of their words."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line)["words"] for line in lines]


def spans(words: Sequence[str]) -> set[tuple[int, int]]:
    """Return where words stand in a text without spaces: `["北京", "的"]` -> `{(0, 2), (2, 3)}`."""
    found, start = set(), 0
    for word in words:
        found.add((start, start + len(word)))
        start += len(word)
    return found


def agreement(sentences: Sequence[Sequence[str]], cut: Cut) -> dict[str, float]:
    """Return precision, recall and F1 of the words that are cut."""
    right = cut_words = gold_words = 0
    for words in sentences:
        expected, found = spans(words), spans(cut("".join(words)))
        right += len(expected & found)
        cut_words += len(found)
        gold_words += len(expected)
    precision, recall = right / cut_words, right / gold_words
    figures = {"precision": precision, "recall": recall, "f1": 2 * precision * recall / (precision + recall)}
    return {name: round(value, 4) for name, value in figures.items()}


def segmenter(words: Sequence[NewWordRow], cache_dir: Path, *, hmm: bool) -> Cut:
    """Return jieba's cutting with some words loaded as `export --what new-words` writes them."""
    dictionary = "".join(f"{word} {count}\n" for word, count, *_ in words).encode()
    return JiebaSegmenter({}, load_vocabulary(dictionary, cache_dir), "precise", hmm=hmm).cut


def main() -> None:
    """Print what was found and measured, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=find_test_data())
    parser.add_argument("--sets", nargs="+", default=["news_xwlb", "tech_lctt"])
    parser.add_argument("--top", type=int, default=100, help="how many words are printed")
    arguments = parser.parse_args()
    if arguments.data is None:
        parser.error("there are no test texts; name their directory by --data or HANMILL_TEST_DATA")
    paths = [arguments.data / name / "train.jsonl.gz" for name in arguments.sets]
    sentences = gold_sentences(arguments.data / "gold_segmentation" / "dev.jsonl.gz")
    with tempfile.TemporaryDirectory(prefix="hm-bench-") as directory:
        home = Path(directory)
        words, elapsed_s = discover(paths, home)
        text = "\n".join("".join(sentence) for sentence in sentences)
        result = {
            "words": len(words),
            "elapsed_s": round(elapsed_s, 1),
            "words_in_the_sentences": sum(row[0] in text for row in words),
            "best": " ".join(row[0] for row in words[: arguments.top]),
            "segmentation": [
                {"loaded": number, "hmm": hmm, **agreement(sentences, segmenter(words[:number], home, hmm=hmm))}
                for number in (0, 100, 300, len(words))
                for hmm in (False, True)
            ],
        }
    print(json.dumps(result, indent=2, ensure_ascii=False))  # noqa: T201 - the result of a benchmark


if __name__ == "__main__":
    main()
