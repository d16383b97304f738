"""Cuts documents into tokens and keeps them in SQL, one row a text. Counts nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from storage import tokens as token_rows
from storage.documents import Document
from storage.engine import Connection, reading
from tasks.operation import Intake, Save, ShardWork, Workplace
from tasks.segmentation import segmentation_identity, segmentation_parameters, segmenter_for, token_filter_for
from tasks.text.segmenter import split_joined


class TokenizeRun:
    """Cuts the documents of one shard; a text that was cut before is not cut again."""

    def __init__(self, work: ShardWork, workplace: Workplace) -> None:
        self._fingerprint = work.fingerprint
        self._engine = workplace.engine
        self._segmenter = segmenter_for(work.parameters, workplace)
        self._filter = token_filter_for(work.parameters, workplace)
        self.results = 0
        self.tokens = 0

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Cut a batch and return the writing of its tokens."""
        with reading(self._engine) as connection:
            counts = token_rows.known(connection, self._fingerprint, [document.sha256 for document in documents])
        new = self._cut({document.sha256: document.text for document in documents if document.sha256 not in counts})
        counts.update((digest, len(tokens)) for digest, tokens in new.items())
        self.tokens += sum(counts[document.sha256] for document in documents)
        self.results += len(documents)

        def save(connection: Connection) -> None:
            token_rows.save(connection, self._fingerprint, new)

        return save

    def _cut(self, texts: Mapping[bytes, str]) -> dict[bytes, list[str]]:
        if not texts:
            return {}
        tokens = split_joined(self._segmenter.cut_joined([*texts.values()]))
        keep = self._filter.keep if self._filter else list
        return {digest: keep(of_text) for digest, of_text in zip(texts, tokens, strict=True)}

    def finish(self, dead: int) -> Save | None:  # noqa: ARG002 - dead letters have no tokens
        """Return nothing: every batch was written as it came."""
        return None


class TokenizeOperation:
    """The tokens of every document."""

    name = "tokenize"
    version = 1
    queue = "hanmill.cpu"
    merges = False
    uses_model = False

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the options of segmentation and filtering; raises `UsageError`."""
        return segmentation_parameters(options, intake.add_resource)

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what decides the tokens."""
        return segmentation_identity(parameters)

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load the dictionary."""
        segmenter_for(parameters, workplace)

    def start(self, work: ShardWork, workplace: Workplace) -> TokenizeRun:
        """Begin a shard."""
        return TokenizeRun(work, workplace)


OPERATION = TokenizeOperation()
