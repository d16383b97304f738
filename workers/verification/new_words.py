"""Compares new words: each chosen shard's windows with a plain count, and the words with those of all windows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from storage import jobs, new_words, partial_counts, verification
from storage.documents import Document
from storage.engine import AnyRow, reading
from tasks.discover.lexicon import NewWord
from tasks.discover.operation import words_of_job
from tasks.discover.partials import decode_runs, scatter
from tasks.discover.plain import Window, count_plainly, unpacked
from workers.bootstrap import Parts
from workers.run_shard import work_of
from workers.verification.report import Report
from workers.verification.shard_reading import Reread, read_again

#: How far a figure may be from what it comes to here: it is rounded to six digits.
TOLERANCE = 2e-6


class NewWordComparison:
    """The comparison of one job's new words."""

    def __init__(self, parts: Parts, job: AnyRow, report: Report) -> None:
        self._parts = parts
        self._job = job
        self._report = report
        self._max_length = int(jobs.parameters(job)["max_length"])

    def compare_shard(self, again: Reread) -> None:
        """Count the windows of a shard by the plain loop and compare its partial counts."""
        right: Counter[Window] = Counter()

        def take(documents: Sequence[Document]) -> None:
            for document in documents:
                again.tokens += count_plainly(right, document.text, self._max_length)
            again.results += len(documents)

        read_again(again, take)
        shard = again.shard
        self._report.compared["documents"] += again.results
        self._report.compare("content", (shard.digest or b"").hex(), again.source.digest().hex(), shard=shard.id)
        self._compare_partials(again, right)

    def _compare_partials(self, again: Reread, right: Mapping[Window, int]) -> None:
        shard = again.shard
        with reading(self._parts.engine) as connection:
            rows = verification.partial_rows(connection, shard.digest or b"", self._job.fingerprint)
        rows = [row for row in rows if row.partitions == shard.partitions]
        partitions = [row.partition for row in rows]
        if not self._report.compare("partial counts", partitions, [*range(shard.partitions or 0)], shard=shard.id):
            return
        figures = (again.results, len(again.dead), again.tokens)
        stored: Counter[Window] = Counter()
        for row in rows:
            found = (row.documents, row.dead, row.tokens)
            self._report.compare("partial figures", found, figures, shard=shard.id, word=f"{row.partition}")
            self._add_partial(row, stored)
        for window in sorted(stored.keys() | right.keys()):
            counts = (stored.get(window, 0), right.get(window, 0))
            self._report.compare("windows", *counts, shard=shard.id, word=_shown(window))

    def _add_partial(self, row: AnyRow, stored: Counter[Window]) -> None:
        try:
            runs = list(decode_runs(bytes(row.data), self._max_length))
        except ValueError as fault:
            self._report.differs("partial counts", str(fault), "partial counts")
            return
        for run in runs:
            windows = unpacked(run, self._max_length)
            for window, partition in zip(windows, scatter(run[0], row.partitions).tolist(), strict=True):
                if partition != row.partition:
                    place = (f"in partition {row.partition}", f"in {partition}")
                    self._report.differs("partial counts", *place, word=_shown(window))
            stored.update(windows)

    def compare_sum(self) -> None:
        """Choose the words anew from the partial counts of all shards, and compare with those that stand there."""
        generation = self._job.generation_id
        with reading(self._parts.engine) as connection:
            partitions = verification.partitions_of_generation(connection, generation)
            if generation is None or partitions is None:
                self._report.left_out.append("the new words of this job are there no more; a later job's stand")
                return
            stored = [NewWord(*row) for row in new_words.by_score(connection, generation)]
            shards = list(partial_counts.done_shards(connection, self._job.id))
        try:
            right = words_of_job(work_of(self._job), shards, self._parts.workplace)
        except (LookupError, ValueError) as fault:
            self._report.differs("partial counts", str(fault), "partial counts")
            return
        self._report.compared["words"] += len(right)
        found, expected = ({row.word: row for row in rows} for rows in (stored, right))
        self._report.compare("rows", len(stored), len(right))
        for word in sorted(found.keys() | expected.keys()):
            self._compare_word(word, found.get(word), expected.get(word))

    def _compare_word(self, word: str, found: NewWord | None, expected: NewWord | None) -> None:
        if found is None or expected is None:
            self._report.compare("new words", found is not None, expected is not None, word=word)
            return
        self._report.compare("counts", found.count, expected.count, word=word)
        for name in ("pmi", "left_entropy", "right_entropy"):
            figures = (getattr(found, name), getattr(expected, name))
            # Written so that a figure that is no number differs too.
            if not abs(figures[0] - figures[1]) <= TOLERANCE:
                self._report.differs(name, *figures, word=word)


def _shown(window: Window) -> str:
    """Return a window for people, the neighbour before it first; ends are points."""
    return "".join(chr(symbol) if symbol > 1 else "." for symbol in (window[-1], *window[:-1]))
