"""What `--idf` takes, and how keywords were found, in words, from the parameters of their job. Loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What `--idf` takes besides a file; where it is not given, the corpus's counts if there are any, else jieba's file.
CORPUS, JIEBA = "corpus", "jieba"
#: What names no file.
NAMED_IDF = (None, CORPUS, JIEBA)


def described(parameters: Mapping[str, Any]) -> str:
    """Return what keywords were found by, such as `tfidf, idf of 4,000 documents of the corpus`."""
    method = str(parameters.get("method", "tfidf"))
    if method != "tfidf":
        return method
    idf = parameters.get("idf")
    if idf == CORPUS:
        return f"{method}, idf of {parameters['idf_documents']:,} documents of the corpus"
    return f"{method}, idf of {JIEBA if idf == JIEBA else 'a file'}"
