"""`jieba.analyse` as it comes, for tests that hold ours against it. Shares no code with the mill's keywords."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from tasks.text.jieba_engine import import_jieba


def jieba_extractor(method: str, *, stopwords: Path | None = None, idf: Path | None = None) -> Any:
    """Return an extraction of jieba's own, `tfidf` or `textrank`, that no other test has told anything."""
    # A copy: another of its own would read the idf file again, which takes half a second.
    extractor = copy(getattr(_analyse(), f"default_{method}"))
    extractor.stop_words = extractor.STOP_WORDS.copy()
    with _quiet():
        if stopwords is not None:
            extractor.set_stop_words(str(stopwords))
        if idf is not None:
            extractor.idf_loader = copy(extractor.idf_loader)
            extractor.set_idf_path(str(idf))
    return extractor


@cache
def _analyse() -> Any:
    import_jieba()
    with _quiet():
        return import_module("jieba.analyse")


@contextmanager
def _quiet() -> Iterator[None]:
    # Its source gives rise to warnings, and it closes no file that it reads.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
