"""Counts words: how often each stands in a corpus, and in how many documents. A map by shard, then a merge."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from storage import partial_counts
from storage.corpus_figures import replace_figures
from storage.documents import Document
from storage.engine import AnyRow, Connection, reading
from storage.word_counts import replace_partition
from tasks.count.document_figures import DocumentFigures
from tasks.count.merge import StoredPartial, merge, needed_partitions
from tasks.count.partition_figures import in_steps, partition_figures, rows_of
from tasks.count.shard_counts import PARTIAL_FORMAT, ShardCounts
from tasks.operation import Intake, KnownShard, Save, ShardWork, Workplace
from tasks.segmentation import segmentation_identity, segmentation_parameters, segmenter_for, token_filter_for
from tasks.text.word_numbers import WordNumbers

#: Words whose numbers a process keeps from one shard to the next, so that it learns them once; some 40 MB at most.
KEPT_WORDS = 200_000


class _Kept(threading.local):
    """What a thread keeps from one shard to the next."""

    numbers: WordNumbers | None = None


_kept = _Kept()


def _kept_numbers() -> WordNumbers:
    if _kept.numbers is None or len(_kept.numbers) > KEPT_WORDS:
        _kept.numbers = WordNumbers()
    return _kept.numbers


class CountRun:
    """Counts the words of one shard in a counter of its own."""

    def __init__(self, work: ShardWork, workplace: Workplace) -> None:
        self._work = work
        self._segmenter = segmenter_for(work.parameters, workplace)
        self._filter = token_filter_for(work.parameters, workplace)
        self._counts = ShardCounts(_kept_numbers())
        self._figures = DocumentFigures()

    @property
    def results(self) -> int:
        """Documents counted so far."""
        return self._counts.documents

    @property
    def tokens(self) -> int:
        """Tokens counted so far."""
        return self._counts.tokens

    def take(self, documents: Sequence[Document]) -> Save | None:
        """Count a batch; nothing is written before the shard ends."""
        if documents:
            texts = [document.text for document in documents]
            months = _months_of(documents)
            self._counts.add_numbered(self._segmenter.cut_numbered(texts, self._counts.numbers), len(texts), months)
            self._figures.add(np.fromiter(map(len, texts), np.int64, len(texts)), months)
        return None

    def finish(self, dead: int) -> Save | None:
        """Return the writing of the shard's partial counts."""
        digest = self._work.digest
        if digest is None:
            message = "a shard that is counted has a digest of its content"
            raise ValueError(message)
        if self._filter:
            # Whether a token stays is the same wherever it stands: each word is asked about once.
            self._counts.keep(self._filter.keep)
        self._figures.add_tokens(self._counts.tokens_by_month())
        blobs = self._counts.partials(self._work.partitions, self._figures)
        known = partial_counts.Known(self._work.partitions, self.results, dead, self.tokens)

        def save(connection: Connection) -> None:
            partial_counts.save(connection, digest, self._work.fingerprint, blobs, known)

        return save


class CountOperation:
    """Word counts and document frequencies of a corpus."""

    name = "count"
    version = 1
    queue = "hanmill.cpu"
    merges = True
    uses_model = False

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the options of segmentation and filtering; raises `UsageError`."""
        return segmentation_parameters(options, intake.add_resource)

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:
        """Return what decides the tokens, and the form in which partial counts are kept."""
        return {**segmentation_identity(parameters), "partial_format": str(PARTIAL_FORMAT)}

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load the dictionary."""
        segmenter_for(parameters, workplace)

    def known(self, work: ShardWork, workplace: Workplace) -> KnownShard | None:
        """Return the figures of a content that was counted before under the same fingerprint."""
        if work.digest is None:
            return None
        with reading(workplace.engine) as connection:
            found = partial_counts.find(connection, work.digest, work.fingerprint)
        # With dead letters it is read again: they name places in this source, not in the one counted first.
        return KnownShard(found.partitions, found.documents, found.tokens) if found and not found.dead else None

    def start(self, work: ShardWork, workplace: Workplace) -> CountRun:
        """Begin a shard."""
        return CountRun(work, workplace)

    def merge(self, work: ShardWork, generation_id: int, workplace: Workplace) -> Save:
        """Sum one partition over all shards of the job and return its writing."""
        partition = work.partition or 0
        with reading(workplace.engine) as connection:
            steps = in_steps(list(partial_counts.done_shards(connection, work.job_id)))
        merged = merge(_stored(work, steps, partition, workplace), work.partitions, partition)
        batches = list(merged.batches())
        figures = partition_figures(merged, partition, steps)

        def save(connection: Connection) -> None:
            replace_partition(connection, generation_id, partition, rows_of(batches))
            replace_figures(connection, generation_id, partition, figures)

        return save


def _months_of(documents: Sequence[Document]) -> Any | None:
    """Return the months of documents as an array, None when none of them carries a date."""
    months = np.fromiter((document.month for document in documents), np.int64, len(documents))
    return months if months.any() else None


def _stored(
    work: ShardWork, steps: Sequence[Sequence[AnyRow]], partition: int, workplace: Workplace
) -> Iterator[StoredPartial]:
    # Summed per shard, not per content: a file that stands in a corpus twice counts twice.
    for step, shards in enumerate(steps):
        for shard in shards:
            wanted = needed_partitions(shard.partitions, work.partitions, partition)
            blobs = partial_counts.load(workplace.engine, work.fingerprint, shard.digest, shard.partitions, wanted)
            for number, blob in zip(wanted, blobs, strict=True):
                yield StoredPartial(blob, shard.partitions, number, step)


OPERATION = CountOperation()
