"""From a job's parameters to what finds its keywords, loaded once a process. Writes no result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from tasks.keywords.candidates import Candidates
from tasks.keywords.description import CORPUS, JIEBA
from tasks.keywords.idf_table import (
    IdfTable,
    jieba_idf_digest,
    jieba_idf_path,
    open_frequencies,
    open_given,
    pack_given,
    parse_idf_file,
)
from tasks.keywords.textrank import TextRankExtractor
from tasks.keywords.tfidf import TfidfExtractor, Weighed
from tasks.operation import Workplace
from tasks.segmentation import segmenter_for, token_filter_for
from tasks.text.frequency_cache import load_cached
from tasks.text.token_filter import parse_stopwords

#: Tables that a process keeps, some megabytes each.
KEPT_TABLES = 4
_tables: dict[tuple[str, str], IdfTable] = {}


class Extractor(Protocol):
    """Finds the keywords of texts."""

    def extract(self, texts: Sequence[str]) -> Iterator[list[Weighed]]:
        """Yield the keywords of each text, the weightiest first."""
        ...


def extractor_for(parameters: Mapping[str, Any], workplace: Workplace) -> Extractor:
    """Return what finds the keywords of a job."""
    candidates = candidates_for(parameters, workplace)
    if parameters["method"] == "textrank":
        # Loads the tables of the tagger, which TF-IDF does without.
        from tasks.keywords.pos_tagger import open_tagger  # noqa: PLC0415

        dictionary = parameters["user_dict"]
        data = workplace.load_resource(dictionary) if dictionary else b""
        tagger = open_tagger(data, workplace.cache_dir, hmm=parameters["hmm"])
        return TextRankExtractor(tagger, candidates, parameters["top_keywords"])
    idf = idf_for(parameters, workplace)
    return TfidfExtractor(segmenter_for(parameters, workplace), candidates, idf, parameters["top_keywords"])


def candidates_for(parameters: Mapping[str, Any], workplace: Workplace) -> Candidates:
    """Return what chooses a job's words."""
    digest = parameters["stopwords"]
    stopwords = parse_stopwords(workplace.load_resource(digest)) if digest else frozenset()
    return Candidates(stopwords, token_filter_for(parameters, workplace))


def idf_for(parameters: Mapping[str, Any], workplace: Workplace) -> IdfTable:
    """Return what weighs a job's words."""
    kind = parameters["idf"]
    if kind == JIEBA:
        return _kept(kind, jieba_idf_digest(), lambda: _given(jieba_idf_digest(), _read_jieba_idf, workplace.cache_dir))
    digest = parameters["idf_table"]
    if kind == CORPUS:
        return _kept(kind, digest, lambda: open_frequencies(workplace.load_resource(digest)))
    return _kept(kind, digest, lambda: _given(digest, lambda: workplace.load_resource(digest), workplace.cache_dir))


def _kept(kind: str, digest: str, load: Callable[[], IdfTable]) -> IdfTable:
    """Return a table that this process has loaded before, or load it: one shard after the other asks for it."""
    if (kind, digest) not in _tables:
        if len(_tables) >= KEPT_TABLES:
            _tables.clear()
        _tables[kind, digest] = load()
    return _tables[kind, digest]


def _given(digest: str, read: Callable[[], bytes], cache_dir: Path) -> IdfTable:
    # Parsed once a home: jieba's file takes a second.
    path = cache_dir / f"idf-1-{digest[:32]}.cache"
    return open_given(load_cached(path, lambda: pack_given(parse_idf_file(read()))))


def _read_jieba_idf() -> bytes:
    return jieba_idf_path().read_bytes()
