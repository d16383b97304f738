"""Keywords by jieba's own functions, one text at a time: what `verify` and the tests hold ours against."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from copy import copy
from functools import lru_cache, partial
from importlib import import_module
from types import SimpleNamespace
from typing import Any

from tasks.keywords.description import JIEBA
from tasks.keywords.extractors import idf_for
from tasks.keywords.pos_tagger import import_posseg, plain_tagger
from tasks.keywords.tfidf import Weighed
from tasks.operation import Workplace
from tasks.reference import reference_cut
from tasks.segmentation import token_filter_for
from tasks.text.token_filter import parse_stopwords

#: Finds the keywords of a text.
FindKeywords = Callable[[str], list[Weighed]]


def reference_keywords(parameters: Mapping[str, Any], workplace: Workplace) -> FindKeywords:
    """Return jieba's own extraction with a job's options, dictionary, filter and idf."""
    extractor = (_textrank if parameters["method"] == "textrank" else _tfidf)(parameters, workplace)
    digest = parameters["stopwords"]
    if digest:
        extractor.stop_words = extractor.stop_words | parse_stopwords(workplace.load_resource(digest))
    extract: FindKeywords = partial(extractor.extract_tags, topK=parameters["top_keywords"], withWeight=True)
    return extract


def _tfidf(parameters: Mapping[str, Any], workplace: Workplace) -> Any:
    # A copy of the one that is there: another would read jieba's file once more.
    extractor = copy(_import_analyse().default_tfidf)
    extractor.tokenizer = SimpleNamespace(cut=reference_cut(parameters, workplace))
    if parameters["idf"] != JIEBA:
        idf = idf_for(parameters, workplace)
        extractor.idf_freq = SimpleNamespace(get=lambda word, _: idf.of(word))
    return extractor


def _textrank(parameters: Mapping[str, Any], workplace: Workplace) -> Any:
    extractor = copy(_import_analyse().default_textrank)
    digest = parameters["user_dict"]
    data = workplace.load_resource(digest) if digest else b""
    tagger = plain_tagger(data, workplace.cache_dir)
    extractor.tokenizer = SimpleNamespace(cut=partial(tagger.cut, HMM=parameters["hmm"]))
    kept = token_filter_for(parameters, workplace)
    if kept is not None:
        suits = extractor.pairfilter
        extractor.pairfilter = lambda pair: suits(pair) and bool(kept.keep([pair.word]))
    # `extract_tags` is another name of the class's `textrank`.
    return extractor


@lru_cache(maxsize=1)
def _import_analyse() -> Any:
    """Import jieba's extraction, which reads its idf file, and keep it quiet."""
    import_posseg()
    with warnings.catch_warnings():
        # It leaves its file open, too.
        for category in (DeprecationWarning, ResourceWarning, SyntaxWarning, UserWarning):
            warnings.simplefilter("ignore", category)
        return import_module("jieba.analyse")
