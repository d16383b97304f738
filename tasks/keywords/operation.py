"""Finds the keywords of documents and keeps them in SQL, one row a text. Finds none for a corpus as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage import keywords as keyword_rows
from storage.documents import Document
from storage.engine import Connection, reading
from storage.errors import UsageError
from tasks.keywords.description import JIEBA
from tasks.keywords.extractors import extractor_for
from tasks.keywords.idf_choice import SEGMENTATION, idf_parameters, takes_counts_now
from tasks.keywords.idf_table import jieba_idf_digest
from tasks.operation import Intake, Save, ShardWork, Workplace
from tasks.segmentation import segmentation_identity, segmentation_parameters

METHODS = ("tfidf", "textrank")
#: The options that it knows.
OPTIONS = (*SEGMENTATION, "method", "top_keywords", "idf", "refresh_idf")
#: Keywords of a document unless the user says otherwise.
TOP_KEYWORDS = 20


class KeywordsRun:
    """Finds the keywords of one shard's documents; those of a text that was looked at before are not found again."""

    #: Words are cut on the way, and nobody keeps them.
    tokens = 0

    def __init__(self, work: ShardWork, workplace: Workplace) -> None:
        self._fingerprint = work.fingerprint
        self._engine = workplace.engine
        self._extractor = extractor_for(work.parameters, workplace)
        self.results = 0

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Find the keywords of a batch and return their writing."""
        with reading(self._engine) as connection:
            known = keyword_rows.known(connection, self._fingerprint, [document.sha256 for document in documents])
        new = {document.sha256: document.text for document in documents if document.sha256 not in known}
        found = dict(zip(new, self._extractor.extract([*new.values()]), strict=True))
        self.results += len(documents)

        def save(connection: Connection) -> None:
            keyword_rows.save(connection, self._fingerprint, found)

        return save

    def finish(self, dead: int) -> Save | None:  # noqa: ARG002 - dead letters have no keywords
        """Return nothing: every batch was written as it came."""
        return None


class KeywordsOperation:
    """The keywords of every document."""

    name = "keywords"
    version = 1
    queue = "hanmill.cpu"
    merges = False
    uses_model = False

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the options method, top_keywords, idf and refresh_idf, and those of segmentation and filtering.

        Raises `UsageError`.
        """
        common = _common_parameters(options, intake)
        if common["method"] == "textrank":
            _check_textrank(options, common)
            return common
        return {**common, **idf_parameters(options, common, intake)}

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what else decides the keywords: how words are cut, and the file that comes with jieba."""
        found = dict(segmentation_identity(parameters))
        if parameters["method"] == "textrank":
            # Nothing stands in for jieba's tagger.
            del found["fast_engine"]
        elif parameters["idf"] == JIEBA:
            found["idf_file"] = jieba_idf_digest()
        return found

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load the dictionary, and what words are weighed by."""
        extractor_for(parameters, workplace)

    def start(self, work: ShardWork, workplace: Workplace) -> KeywordsRun:
        """Begin a shard."""
        return KeywordsRun(work, workplace)


def waits_for_counts(options: Mapping[str, Any], intake: Intake) -> bool:
    """Say whether keywords with these options would be weighed by counts that are still to be made.

    Raises `UsageError` for options that are wrong whatever is counted.
    """
    common = _common_parameters(options, intake)
    return common["method"] == "tfidf" and takes_counts_now(options, common, intake)


def _common_parameters(options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
    method = options.get("method") or "tfidf"
    if method not in METHODS:
        message = f"--method is one of {', '.join(METHODS)}, not {method!r}"
        raise UsageError(message)
    top = options.get("top_keywords", TOP_KEYWORDS)
    if not isinstance(top, int) or top < 1:
        message = f"--top-keywords is a whole number of at least 1, not {top!r}"
        raise UsageError(message)
    return {"method": method, "top_keywords": top, **segmentation_parameters(options, intake.add_resource)}


def _check_textrank(options: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    if options.get("idf") is not None or options.get("refresh_idf"):
        message = "--method textrank weighs by the text alone: leave out --idf and --refresh-idf"
        raise UsageError(message)
    if parameters["mode"] != "precise":
        message = (
            "--method textrank needs parts of speech, which jieba gives in precise mode only: leave out --mode "
            f"{parameters['mode']}"
        )
        raise UsageError(message)


OPERATION = KeywordsOperation()
