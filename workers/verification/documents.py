"""Compares results that belong to single documents: their rows, tokens, keywords, summaries, scores, labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, Protocol

from storage import keywords, verification
from storage.documents import Document
from storage.engine import AnyRow, Connection, reading
from storage.verification import StoredLabels
from tasks.keywords.reference import FindKeywords
from tasks.nn.backend import AnyBackend, UnfitTextError
from tasks.reference import Cut, computed_alone
from workers.bootstrap import Parts
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, place_of_document, read_again

#: How far a score may be from the same model's of the same text alone, of 1 or of itself if that is more: sums of
#: 4-byte floats depend on the order in which a batch adds them up.
SCORE_TOLERANCE = 1e-3
#: The same where a GPU computed in bfloat16, which has three significant digits.
GPU_SCORE_TOLERANCE = 5e-2
#: How far the weight of a keyword may be from jieba's, of itself.
WEIGHT_TOLERANCE = 1e-12


class Judge(Protocol):
    """Computes one kind of result, and compares it with what is stored."""

    def stored(self, connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return what the database holds of some texts."""
        ...

    def compute(self, text: str) -> Any:
        """Return what a text comes to; raises `UnfitTextError` for one that can have no result."""
        ...

    def tokens(self, right: Any) -> int:
        """Return how many tokens a result counts for."""
        ...

    def compare(self, stored: Any, right: Any, report: Report, place: Mapping[str, Any]) -> None:
        """Note where what is stored is not what was computed."""
        ...


class TokenJudge:
    """Tokens must be jieba's own, one by one."""

    def __init__(self, fingerprint: str, cut: Cut) -> None:
        self._fingerprint = fingerprint
        self._cut = cut

    def stored(self, connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the number and the tokens of some texts."""
        return verification.stored_tokens(connection, self._fingerprint, digests)

    def compute(self, text: str) -> list[str]:
        """Cut a text."""
        return self._cut(text)

    def tokens(self, right: list[str]) -> int:
        """Return how many there are."""
        return len(right)

    def compare(
        self, stored: tuple[int, list[str]], right: list[str], report: Report, place: Mapping[str, Any]
    ) -> None:
        """Name the first token that differs."""
        number, words = stored
        report.compare("number of tokens", number, len(right), **place)
        report.compared["tokens"] += len(right)
        if words != right:
            found, expected = next(pair for pair in zip_longest(words, right, fillvalue="") if pair[0] != pair[1])
            report.differs("tokens", found, expected, word=expected or found, **place)


class KeywordJudge:
    """Keywords must be jieba's own, in its order, with its weights."""

    def __init__(self, fingerprint: str, find: FindKeywords) -> None:
        self._fingerprint = fingerprint
        self._find = find

    def stored(self, connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the keywords of some texts."""
        return keywords.find_all(connection, self._fingerprint, digests)

    def compute(self, text: str) -> list[dict[str, Any]]:
        """Find the keywords of a text."""
        return [{"word": word, "weight": weight} for word, weight in self._find(text)]

    def tokens(self, right: list[dict[str, Any]]) -> int:  # noqa: ARG002 - its interface
        """Return none: nobody counts the tokens on the way to keywords."""
        return 0

    def compare(
        self, stored: list[dict[str, Any]], right: list[dict[str, Any]], report: Report, place: Mapping[str, Any]
    ) -> None:
        """Name the first keyword that differs."""
        report.compared["keywords"] += len(right)
        nothing: dict[str, Any] = {}
        for found, expected in zip_longest(stored, right, fillvalue=nothing):
            word = expected.get("word")
            if found.get("word") != word or not is_near(found.get("weight"), expected["weight"]):
                report.differs("keywords", found, expected, word=word or found.get("word"), **place)
                return


def is_near(found: object, expected: float) -> bool:
    """Say whether two weights are the same but for the last digit of a logarithm, which machines may differ in."""
    return isinstance(found, float) and math.isclose(found, expected, rel_tol=WEIGHT_TOLERANCE)


class SummaryJudge:
    """A summary must be the very same, and stand at the same places of its text."""

    def __init__(self, fingerprint: str, backend: AnyBackend) -> None:
        self._fingerprint = fingerprint
        self._backend = backend

    def stored(self, connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the summaries of some texts with their spans."""
        return verification.stored_summaries(connection, self._fingerprint, digests)

    def compute(self, text: str) -> Any:
        """Summarize a text alone."""
        return computed_alone(self._backend, text)

    def tokens(self, right: Any) -> int:  # noqa: ARG002 - its interface
        """Return none: summaries are not counted in tokens."""
        return 0

    def compare(
        self, stored: tuple[str, list[list[int]]], right: Any, report: Report, place: Mapping[str, Any]
    ) -> None:
        """Compare the words and the places that they were taken from."""
        summary, spans = stored
        report.compare("summaries", summary, right.text, **place)
        report.compare("spans", spans, [[int(start), int(end)] for start, end in right.spans], **place)


class LabelJudge:
    """Scores may be apart by the tolerance; a label may be decided or not where its score is that near to the edge."""

    def __init__(self, fingerprint: str, backend: Any, tolerance: float) -> None:
        """`backend` is a `tasks.classify.backends.Classifier`."""
        self._fingerprint = fingerprint
        self._backend = backend
        self._tolerance = tolerance
        self._names: Sequence[str] = backend.label_set.names

    def stored(self, connection: Connection, digests: Sequence[bytes]) -> Mapping[bytes, Any]:
        """Return the scores and decided labels of some texts."""
        return verification.stored_labels(connection, self._fingerprint, digests)

    def compute(self, text: str) -> Any:
        """Score a text alone."""
        return computed_alone(self._backend, text)

    def tokens(self, right: Any) -> int:  # noqa: ARG002 - its interface
        """Return none: labels are not counted in tokens."""
        return 0

    def compare(self, stored: StoredLabels, right: Any, report: Report, place: Mapping[str, Any]) -> None:
        """Compare every score, and every label that is decided by either."""
        if report.compare("number of scores", len(stored.scores), len(right), **place):
            report.compared["scores"] += len(right)
            for name, found, expected in zip(self._names, stored.scores, right.tolist(), strict=True):
                # Written so that a score that is no number differs too.
                if not abs(found - expected) <= self._tolerance * max(1.0, abs(expected)):
                    report.differs("scores", found, expected, word=name, **place)
        self._compare_decided(stored.decided, right, report, place)

    def _compare_decided(
        self, stored: Mapping[str, float], right: Any, report: Report, place: Mapping[str, Any]
    ) -> None:
        decided, low, high = (self._decided(right + shift) for shift in (0.0, -self._tolerance, self._tolerance))
        for name in sorted({*stored, *decided}):
            # As near to the edge as two right scores may be apart: either is right.
            either = name in high and name not in low
            is_same = either or report.compare("labels", name in stored, name in decided, word=name, **place)
            if is_same and name in stored and name in decided:
                report.compared["probabilities"] += 1
                if not abs(stored[name] - decided[name]) <= self._tolerance:
                    report.differs("probabilities", stored[name], decided[name], word=name, **place)

    def _decided(self, scores: Any) -> dict[str, float]:
        return {self._names[position]: score for position, score in self._backend.decide(scores)}


class DocumentComparison:
    """The comparison of one job whose results belong to documents."""

    def __init__(self, parts: Parts, job: AnyRow, judge: Judge, report: Report) -> None:
        self._parts = parts
        self._job = job
        self._judge = judge
        self._report = report

    def compare_shard(self, again: Reread) -> None:
        """Compute every document of a shard alone and compare what is stored of it."""
        believed = again.believed()

        def take(documents: Sequence[Document]) -> None:
            with reading(self._parts.engine) as connection:
                keys = sorted({document.record.key for document in documents})
                rows = verification.document_rows(connection, self._job.corpus_id, keys)
                stored = self._judge.stored(connection, sorted({document.sha256 for document in documents}))
            for document in documents:
                place = place_of_document(document)
                reason = believed.get(place) or self._unfit(again, document, stored)
                if reason is not None:
                    again.bury(place, reason)
                    continue
                again.results += 1
                self._compare_row(again, document, rows)

        read_again(again, take)

    def _unfit(self, again: Reread, document: Document, stored: Mapping[bytes, Any]) -> str | None:
        """Compare a document's result; return the reason why it can have none."""
        where = {"shard": again.shard.id, "document": document.record.key}
        self._report.compared["documents"] += 1
        try:
            right = self._judge.compute(document.text)
        except UnfitTextError as unfit:
            return unfit.reason
        again.tokens += self._judge.tokens(right)
        if self._report.compare("results", document.sha256 in stored, True, **where):  # noqa: FBT003 - what is compared
            self._judge.compare(stored[document.sha256], right, self._report, where)
        return None

    def _compare_row(self, again: Reread, document: Document, rows: Mapping[Any, Any]) -> None:
        """Compare the row that says where a document stands; an enqueued one was read from it."""
        if document.source is None:
            return
        source = document.source
        found = rows.get((source.id, document.record.key, document.record.offset))
        self._report.compare(
            "document rows",
            "none" if found is None else (found[0], found[1].hex()),
            (source.version, document.sha256.hex()),
            shard=again.shard.id,
            document=document.record.key,
        )
