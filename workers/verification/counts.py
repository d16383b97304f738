"""Compares the counts of a job: each chosen shard's partial counts with jieba's, and the corpus's with their sum."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from storage import partial_counts, verification
from storage.documents import Document
from storage.engine import AnyRow, reading
from tasks.count.merge import needed_partitions
from tasks.count.partitions import partition_of
from tasks.count.shard_counts import decode_partial
from tasks.reference import Cut, SerialCounts
from workers.bootstrap import Parts
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, read_again

#: {word: (count, documents)}.
Rows = dict[str, tuple[int, int]]


class CountComparison:
    """The comparison of one job's counts."""

    def __init__(self, parts: Parts, job: AnyRow, cut: Cut, report: Report) -> None:
        self._parts = parts
        self._job = job
        self._cut = cut
        self._report = report
        #: Of shards whose stored counts were wrong: what they must be, for the sum.
        self._corrected: dict[int, Rows] = {}

    def compare_shard(self, again: Reread) -> None:
        """Count a shard by the plain loop and compare its partial counts, word by word."""
        counts = SerialCounts()

        def take(documents: Sequence[Document]) -> None:
            for document in documents:
                counts.add(self._cut(document.text))
            again.results += len(documents)

        read_again(again, take)
        again.tokens = counts.counts.total()
        self._report.compared["documents"] += again.results
        shard = again.shard
        self._report.compare("content", (shard.digest or b"").hex(), again.source.digest().hex(), shard=shard.id)
        right = counts.rows()
        if not self._compare_partials(again, right):
            self._corrected[shard.id] = right

    def _compare_partials(self, again: Reread, right: Rows) -> bool:
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
        self._compare_words(stored, right, shard.id)
        return self._report.found == before

    def _add_partial(self, row: AnyRow, stored: Rows) -> None:
        try:
            decoded = list(_rows_of(bytes(row.data)))
        except ValueError as fault:
            self._report.differs("partial counts", str(fault), "partial counts")
            return
        for word, count, documents in decoded:
            if word in stored or partition_of(word, row.partitions) != row.partition:
                self._report.differs("partial counts", f"in partition {row.partition}", "once, elsewhere", word=word)
            stored[word] = (count, documents)

    def _compare_words(self, stored: Mapping[str, tuple[int, int]], right: Rows, shard_id: int | None) -> None:
        for word in sorted(stored.keys() | right.keys()):
            found, expected = stored.get(word, (0, 0)), right.get(word, (0, 0))
            self._report.compare("counts", found[0], expected[0], shard=shard_id, word=word)
            self._report.compare("document frequencies", found[1], expected[1], shard=shard_id, word=word)

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
        seen = 0
        for partition in range(partitions):
            right = self._summed(shards, partitions, partition)
            seen += self._compare_partition(generation, partition, right)
        self._report.compare("rows", rows, seen)

    def _summed(self, shards: Sequence[AnyRow], partitions: int, partition: int) -> Rows:
        total: Rows = {}
        for shard in shards:
            for word, count, documents in self._stored(shard, partitions, partition):
                if partition_of(word, partitions) == partition:
                    before = total.get(word, (0, 0))
                    total[word] = (before[0] + count, before[1] + documents)
        return total

    def _stored(self, shard: AnyRow, partitions: int, partition: int) -> Iterator[tuple[str, int, int]]:
        if shard.id in self._corrected:
            yield from ((word, *row) for word, row in self._corrected[shard.id].items())
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
                if word in stored:
                    self._report.differs("rows", "twice", "once", word=word)
                stored[word] = (count, documents)
        self._compare_words(stored, right, None)
        return number


def _rows_of(blob: bytes) -> Iterator[tuple[str, int, int]]:
    """Yield (word, count, documents) of a partial count; raises ValueError for what is none."""
    table = decode_partial(blob)
    columns = (table[name].to_pylist() for name in ("word", "count", "documents"))
    yield from zip(*columns, strict=True)
