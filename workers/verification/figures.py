"""What the documents of a shard or a corpus add up to besides words, by a plain loop, and its comparison."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from storage.corpus_figures import LengthBin, MonthFigures
from tasks.count.document_figures import DocumentFigures
from workers.verification.report import Report


class PlainFigures:
    """Sums by month, and documents by month and length."""

    def __init__(self) -> None:
        #: (month, what is summed).
        self.sums: Counter[tuple[int, str]] = Counter()
        #: (month, shortest length of the bin).
        self.lengths: Counter[tuple[int, int]] = Counter()

    def add(self, month: int, chars: int, tokens: int) -> None:
        """Add one document."""
        digits = str(chars)
        self.lengths[month, int(digits[:2]) * 10 ** max(0, len(digits) - 2)] += 1
        for name, number in (("documents", 1), ("tokens", tokens), ("characters", chars)):
            self.sums[month, name] += number

    def add_all(self, others: PlainFigures) -> None:
        """Add the documents of others."""
        self.sums += others.sums
        self.lengths += others.lengths

    @classmethod
    def of_shard(cls, figures: DocumentFigures) -> PlainFigures:
        """Return what a partial count carries."""
        found = cls()
        for month, sums in figures.months().items():
            found.sums.update({(month, name): number for name, number in sums._asdict().items()})
        found.lengths.update(figures.lengths)
        return found

    @classmethod
    def of_corpus(cls, months: Iterable[MonthFigures], bins: Iterable[tuple[int, LengthBin]]) -> PlainFigures:
        """Return what stands in SQL."""
        found = cls()
        for month, *sums in months:
            found.sums.update({(month, name): number for name, number in zip(_SUMS, sums, strict=True)})
        found.lengths.update({(month, each.from_chars): each.documents for month, each in bins})
        return found


_SUMS = ("documents", "tokens", "characters")


def compare_document_figures(report: Report, stored: PlainFigures, right: PlainFigures, shard: int | None) -> None:
    """Compare every sum and every bin."""
    for month, name in sorted(stored.sums.keys() | right.sums.keys()):
        place = f"{name} of month {month}" if month else f"{name} without a date"
        report.compare("months", stored.sums[month, name], right.sums[month, name], shard=shard, word=place)
    for month, chars in sorted(stored.lengths.keys() | right.lengths.keys()):
        found, expected = stored.lengths[month, chars], right.lengths[month, chars]
        report.compare("lengths", found, expected, shard=shard, word=f"{chars} characters, month {month}")
