"""Compares the counts of a job: each chosen shard's partial counts with jieba's, and the corpus's with their sum.

So are its figures besides words: months, lengths, the growth of the vocabulary.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from storage import corpus_figures, partial_counts, verification
from storage.documents import Document
from storage.engine import AnyRow, reading
from tasks.count.document_figures import DocumentFigures
from tasks.count.merge import needed_partitions
from tasks.count.partition_figures import in_steps
from tasks.count.partitions import partition_of
from tasks.count.shard_counts import decode_partial, encoded_figures
from tasks.reference import Cut, SerialCounts
from workers.bootstrap import Parts
from workers.verification.figures import PlainFigures, compare_document_figures
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, read_again

#: {(word, month): (count, documents)}; the month is 0 without a date.
Rows = dict[tuple[str, int], tuple[int, int]]


class Corrected(NamedTuple):
    """What a shard must have that has something else."""

    rows: Rows
    figures: PlainFigures


class CountComparison:
    """The comparison of one job's counts."""

    def __init__(self, parts: Parts, job: AnyRow, cut: Cut, report: Report) -> None:
        self._parts = parts
        self._job = job
        self._cut = cut
        self._report = report
        #: Of shards whose stored counts were wrong: what they must be, for the sum.
        self._corrected: dict[int, Corrected] = {}

    def compare_shard(self, again: Reread) -> None:
        """Count a shard by the plain loop and compare its partial counts, word by word."""
        counts: dict[int, SerialCounts] = defaultdict(SerialCounts)
        figures = PlainFigures()

        def take(documents: Sequence[Document]) -> None:
            for document in documents:
                tokens = self._cut(document.text)
                counts[document.month].add(tokens)
                figures.add(document.month, len(document.text), len(tokens))
                again.tokens += len(tokens)
            again.results += len(documents)

        read_again(again, take)
        self._report.compared["documents"] += again.results
        shard = again.shard
        self._report.compare("content", (shard.digest or b"").hex(), again.source.digest().hex(), shard=shard.id)
        rows = {(word, month): row for month, counted in counts.items() for word, row in counted.rows().items()}
        right = Corrected(rows, figures)
        if not self._compare_partials(again, right):
            self._corrected[shard.id] = right

    def _compare_partials(self, again: Reread, right: Corrected) -> bool:
        shard, before = again.shard, self._report.found
        with reading(self._parts.engine) as connection:
            rows = verification.partial_rows(connection, shard.digest or b"", self._job.fingerprint)
        rows = [row for row in rows if row.partitions == shard.partitions]
        partitions = [row.partition for row in rows]
        if not self._report.compare("partial counts", partitions, [*range(shard.partitions or 0)], shard=shard.id):
            return False
        figures = (again.results, len(again.dead), again.tokens)
        stored: Rows = {}
        for row in rows:
            self._report.compare(
                "partial figures",
                (row.documents, row.dead, row.tokens),
                figures,
                shard=shard.id,
                word=f"{row.partition}",
            )
            self._add_partial(row, stored)
        self._compare_words(stored, right.rows, shard.id)
        carried = self._carried_figures(shard)
        if carried is not None:
            compare_document_figures(self._report, carried, right.figures, shard.id)
        return self._report.found == before

    def _carried_figures(self, shard: AnyRow) -> PlainFigures | None:
        """Return the figures that a shard's partial counts carry; None for those of a version that kept none."""
        place = (self._job.fingerprint, shard.digest, shard.partitions)
        try:
            (blob,) = partial_counts.load(self._parts.engine, *place, [0])
            encoded = encoded_figures(decode_partial(blob))
            figures = DocumentFigures()
            figures.add_encoded(encoded or b'{"months":[],"lengths":[]}')
        except (LookupError, ValueError) as fault:
            self._report.differs("partial counts", str(fault), "partial counts", shard=shard.id)
            return PlainFigures()
        return PlainFigures.of_shard(figures) if encoded else None

    def _add_partial(self, row: AnyRow, stored: Rows) -> None:
        try:
            decoded = list(_rows_of(bytes(row.data)))
        except ValueError as fault:
            self._report.differs("partial counts", str(fault), "partial counts")
            return
        for word, month, count, documents in decoded:
            if (word, month) in stored or partition_of(word, row.partitions) != row.partition:
                self._report.differs("partial counts", f"in partition {row.partition}", "once, elsewhere", word=word)
            stored[word, month] = (count, documents)

    def _compare_words(self, stored: Rows, right: Rows, shard_id: int | None) -> None:
        for word, month in sorted(stored.keys() | right.keys()):
            found, expected = stored.get((word, month), (0, 0)), right.get((word, month), (0, 0))
            shown = f"{word} in {month}" if month else word
            self._report.compare("counts", found[0], expected[0], shard=shard_id, word=shown)
            self._report.compare("document frequencies", found[1], expected[1], shard=shard_id, word=shown)

    def compare_sum(self) -> None:
        """Add up the partial counts of all shards, partition by partition, and compare with the corpus's counts.

        A shard that was found to be wrong is added as it must be.
        """
        generation = self._job.generation_id
        with reading(self._parts.engine) as connection:
            partitions = verification.partitions_of_generation(connection, generation)
            if generation is None or partitions is None:
                self._report.left_out.append("the word counts of this job are there no more; a later job's stand")
                return
            rows = verification.rows_of_generation(connection, generation)
            shards = list(partial_counts.done_shards(connection, self._job.id))
        has_figures = self._compare_documents(generation, shards)
        seen = 0
        for partition in range(partitions):
            right, new_words = self._summed(in_steps(shards), partitions, partition)
            seen += self._compare_partition(generation, partition, right)
            if has_figures:
                self._compare_growth(generation, partition, new_words)
                self._compare_months(generation, partition, right)
        self._report.compare("rows", rows, seen)

    def _compare_documents(self, generation: int, shards: Sequence[AnyRow]) -> bool:
        """Compare what all documents add up to; return whether the corpus has figures."""
        right = PlainFigures()
        for shard in shards:
            corrected = self._corrected.get(shard.id)
            carried = corrected.figures if corrected else self._carried_figures(shard)
            if carried is None:
                self._report.left_out.append("the figures besides words: an earlier version of hanmill kept none")
                return False
            right.add_all(carried)
        with reading(self._parts.engine) as connection:
            months = corpus_figures.by_month(connection, generation)
            stored = PlainFigures.of_corpus(months, verification.length_rows(connection, generation))
        compare_document_figures(self._report, stored, right, None)
        return True

    def _summed(
        self, steps: Sequence[Sequence[AnyRow]], partitions: int, partition: int
    ) -> tuple[Rows, list[tuple[int, int]]]:
        """Return the sum of a partition; and of each step its tokens, of all partitions, and the words new in it."""
        total: Rows = {}
        known: set[str] = set()
        growth = []
        for step in steps:
            before = len(known)
            for word, month, count, documents in self._stored_rows(step, partitions, partition):
                sums = total.get((word, month), (0, 0))
                total[word, month] = (sums[0] + count, sums[1] + documents)
                known.add(word)
            growth.append((sum(shard.tokens for shard in step), len(known) - before))
        return total, growth

    def _stored_rows(
        self, shards: Sequence[AnyRow], partitions: int, partition: int
    ) -> Iterator[tuple[str, int, int, int]]:
        for shard in shards:
            for row in self._stored(shard, partitions, partition):
                if partition_of(row[0], partitions) == partition:
                    yield row

    def _stored(self, shard: AnyRow, partitions: int, partition: int) -> Iterator[tuple[str, int, int, int]]:
        if shard.id in self._corrected:
            yield from ((*place, *row) for place, row in self._corrected[shard.id].rows.items())
            return
        wanted = needed_partitions(shard.partitions, partitions, partition)
        try:
            blobs = partial_counts.load(
                self._parts.engine, self._job.fingerprint, shard.digest, shard.partitions, wanted
            )
            for blob in blobs:
                yield from _rows_of(blob)
        except (LookupError, ValueError) as fault:
            self._report.differs("partial counts", str(fault), "partial counts", shard=shard.id)

    def _compare_partition(self, generation: int, partition: int, right: Rows) -> int:
        """Compare one partition of the corpus's counts; return how many rows it has."""
        stored: Rows = {}
        number = 0
        with reading(self._parts.engine) as connection:
            for word, count, documents in verification.counted_rows(connection, generation, partition):
                number += 1
                if (word, 0) in stored:
                    self._report.differs("rows", "twice", "once", word=word)
                stored[word, 0] = (count, documents)
        self._compare_words(stored, _over_months(right), None)
        return number

    def _compare_months(self, generation: int, partition: int, right: Rows) -> None:
        with reading(self._parts.engine) as connection:
            rows = verification.month_rows(connection, generation, partition)
            stored: Rows = {(word, month): (count, documents) for word, month, count, documents in rows}
        is_dated = stored or any(month for _, month in right)
        self._compare_words(stored, right if is_dated else {}, None)

    def _compare_growth(self, generation: int, partition: int, right: Sequence[tuple[int, int]]) -> None:
        with reading(self._parts.engine) as connection:
            stored = verification.growth_rows(connection, generation, partition)
        self._report.compare("growth", stored, list(right), word=f"partition {partition}")


def _over_months(rows: Rows) -> Rows:
    counts: Counter[str] = Counter()
    frequencies: Counter[str] = Counter()
    for (word, _), (count, documents) in rows.items():
        counts[word] += count
        frequencies[word] += documents
    return {(word, 0): (counts[word], frequencies[word]) for word in counts}


def _rows_of(blob: bytes) -> Iterator[tuple[str, int, int, int]]:
    """Yield (word, month, count, documents) of a partial count; raises ValueError for what is none."""
    table = decode_partial(blob)
    words, counts, documents = (table[name].to_pylist() for name in ("word", "count", "documents"))
    months = table["month"].to_pylist() if "month" in table.column_names else [0] * len(words)
    yield from zip(words, months, counts, documents, strict=True)
