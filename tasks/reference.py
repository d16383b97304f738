"""What documents come to by the plainest way there is: jieba itself, one text at a time; a model, one window at a time.

For checking what the mill made of the same documents. Takes no engine that stands in for jieba, and makes no batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tasks.nn.backend import MODEL_FAILED, AnyBackend, UnfitTextError
from tasks.operation import Workplace
from tasks.segmentation import token_filter_for
from tasks.text.jieba_engine import JiebaSegmenter, load_vocabulary

#: Cuts a text into the tokens that a job keeps.
Cut = Callable[[str], list[str]]


def reference_cut(parameters: Mapping[str, Any], workplace: Workplace) -> Cut:
    """Return jieba's own cutting with a job's options, dictionary and filter."""
    digest = parameters["user_dict"]
    vocabulary = load_vocabulary(workplace.load_resource(digest) if digest else b"", workplace.cache_dir)
    jieba = JiebaSegmenter({}, vocabulary, parameters["mode"], hmm=parameters["hmm"])
    kept = token_filter_for(parameters, workplace)
    if kept is None:
        return jieba.cut
    keep = kept.keep
    return lambda text: keep(jieba.cut(text))


class SerialCounts:
    """Counts and document frequencies by the plain loop."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.documents: Counter[str] = Counter()

    def add(self, tokens: Iterable[str]) -> None:
        """Count one document, given as its tokens."""
        of_document = Counter(tokens)
        self.counts.update(of_document)
        self.documents.update(of_document.keys())

    def rows(self) -> dict[str, tuple[int, int]]:
        """Return {word: (count, documents)}."""
        return {word: (count, self.documents[word]) for word, count in self.counts.items()}


def computed_alone(backend: AnyBackend, text: str) -> Any:
    """Return what a model makes of a text when each of its windows is a batch by itself.

    Raises `UnfitTextError` for a text that can have no result.
    """
    windows = backend.windows(text)
    try:
        outputs = [backend.forward([window])[0] for window in windows]
        return backend.result(text, windows, outputs)
    except UnfitTextError:
        raise
    except Exception as error:
        raise UnfitTextError(MODEL_FAILED, f"{type(error).__name__}: {error}") from error
