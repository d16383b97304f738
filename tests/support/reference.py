"""The serial reference: what one process with plain jieba makes of the same texts. Shares no code with the mill."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tasks.text.jieba_engine import import_jieba

Counts = dict[str, tuple[int, int]]


def serial_counts(texts: Iterable[str], *, hmm: bool = True) -> Counts:
    """Return {word: (count, documents)} by the plain loop."""
    jieba = import_jieba()
    counts: dict[str, int] = {}
    documents: dict[str, int] = {}
    for text in texts:
        tokens = jieba.lcut(text, HMM=hmm)
        for token in tokens:
            counts[token] = counts.get(token, 0) + 1
        for token in set(tokens):
            documents[token] = documents.get(token, 0) + 1
    return {word: (count, documents[word]) for word, count in counts.items()}


def serial_tokens(texts: Iterable[str], *, hmm: bool = True) -> Iterator[list[str]]:
    """Yield the tokens of every text."""
    jieba = import_jieba()
    return (jieba.lcut(text, HMM=hmm) for text in texts)


def added(*parts: Counts) -> Counts:
    """Return the sum of several counts."""
    total: Counts = {}
    for part in parts:
        for word, (count, documents) in part.items():
            before = total.get(word, (0, 0))
            total[word] = (before[0] + count, before[1] + documents)
    return total


def texts_of(path: Path) -> Iterator[str]:
    """Yield the texts of a JSON Lines file, gzipped or not."""
    data = path.read_bytes()
    for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines():
        yield json.loads(line)["text"]
