"""What the merge of a partition hands to storage besides its words. Sums nothing, and writes nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from storage.corpus_figures import DocumentRows, GrowthPoint, LengthBin, MonthFigures, PartitionFigures
from storage.engine import AnyRow
from tasks.count.document_figures import DocumentFigures, bin_end
from tasks.count.merge import Merged

#: Points by which the growth of a vocabulary is told, at most.
GROWTH_STEPS = 128


def in_steps(shards: Sequence[AnyRow]) -> list[list[AnyRow]]:
    """Return a job's shards, in their order, in steps of about as many each."""
    number = min(len(shards), GROWTH_STEPS)
    steps: list[list[AnyRow]] = [[] for _ in range(number)]
    for place, shard in enumerate(shards):
        steps[place * number // len(shards)].append(shard)
    return steps


def partition_figures(merged: Merged, partition: int, steps: Sequence[Sequence[AnyRow]]) -> PartitionFigures:
    """Return the figures of a partition that was summed from the shards of these steps.

    Those of partition 0 are left out where a shard says nothing of its documents: a version without figures counted it,
    and a part is not the whole.
    """
    if partition == 0 and merged.figures is None:
        return PartitionFigures(partial(rows_of, []), [])
    tokens = (sum(shard.tokens for shard in step) for step in steps)
    growth = [*map(GrowthPoint, tokens, merged.new_words(len(steps)))]
    documents = None if merged.figures is None else _document_rows(merged.figures)
    # A million rows and more: they become tuples one by one, when they are written.
    return PartitionFigures(partial(rows_of, [*merged.month_batches()]), growth, documents)


def rows_of(batches: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of Arrow batches as tuples."""
    return chain.from_iterable(zip(*(column.to_pylist() for column in batch), strict=True) for batch in batches)


def _document_rows(figures: DocumentFigures) -> DocumentRows:
    months = [MonthFigures(month, *sums) for month, sums in figures.months().items()]
    lengths = [
        (month, LengthBin(shortest, bin_end(shortest), documents))
        for (month, shortest), documents in sorted(figures.lengths.items())
    ]
    return DocumentRows(months, lengths)
