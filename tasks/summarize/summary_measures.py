"""What many summaries of one system are like: how they are made of their documents, and how much of them is invented.

Figures for people and JSON; which document each came from, and by whom it was written, it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tasks.summarize.faithfulness import Claims, SourceFacts
from tasks.summarize.text_measures import copied_fragments, coverage, density, novelty, repetition
from tasks.text.rouge import normalize


@dataclass(frozen=True, slots=True)
class SummaryMeasures:
    """Means over the summaries that have something to measure, in per cent, and counts over all of them."""

    #: Share of three-character runs that occurred before in the same summary.
    repeated: float | None
    #: Share of characters inside copied fragments, and how long (characters) the fragment is that a character is in.
    coverage: float | None
    density: float | None
    #: Share of runs of 1 to 4 characters that the document has nowhere.
    novel_1: float | None
    novel_2: float | None
    novel_3: float | None
    novel_4: float | None
    numbers: int
    invented_numbers: int
    dates: int
    invented_dates: int
    names: int
    invented_names: int
    #: Shares of the numbers, dates and names of all summaries together that their documents have; None without any.
    faithful_numbers: float | None
    faithful_dates: float | None
    faithful_names: float | None


@dataclass(frozen=True, slots=True)
class InventiveCase:
    """A summary that says what its document does not."""

    #: Place among the documents, from 1.
    document: int
    text_start: str
    summary: str
    numbers: tuple[str, ...]
    dates: tuple[str, ...]
    names: tuple[str, ...]


#: Characters of a document by which a case can be found again.
TEXT_START_CHARS = 40


class Source:
    """A document that summaries are compared with; prepared once for all systems."""

    def __init__(self, text: str) -> None:
        """Read it."""
        self.text = text
        self.normalized = normalize(text)

    @cached_property
    def facts(self) -> SourceFacts:
        """Return its numbers, dates and words."""
        return SourceFacts(self.text)


def measure(summaries: Sequence[str], sources: Sequence[Source]) -> tuple[SummaryMeasures, list[Claims]]:
    """Return the figures of summaries, and what each of them claims."""
    claims = [source.facts.check(summary) for summary, source in zip(summaries, sources, strict=True)]
    made = [_made(normalize(summary), source.normalized) for summary, source in zip(summaries, sources, strict=True)]
    means: dict[str, Any] = {name: _mean([of.get(name) for of in made]) for name in _NAMES}
    return SummaryMeasures(**means, **_counts(claims)), claims


def worst_cases(
    summaries: Sequence[str], sources: Sequence[Source], claims: Sequence[Claims], limit: int
) -> list[InventiveCase]:
    """Return the summaries that invent most: by numbers, then dates, then names, then in the documents' order."""
    order = sorted(
        (place for place, claim in enumerate(claims) if claim.invented),
        key=lambda place: (
            -len(claims[place].invented_numbers),
            -len(claims[place].invented_dates),
            -len(claims[place].invented_names),
        ),
    )
    return [
        InventiveCase(
            place + 1,
            sources[place].text[:TEXT_START_CHARS],
            summaries[place],
            claims[place].invented_numbers,
            claims[place].invented_dates,
            claims[place].invented_names,
        )
        for place in order[:limit]
    ]


_NOVEL_SIZES = (1, 2, 3, 4)
_NAMES = ("repeated", "coverage", "density", *(f"novel_{size}" for size in _NOVEL_SIZES))


def _made(summary: str, source: str) -> dict[str, float | None]:
    if not summary:
        return {}
    fragments = copied_fragments(summary, source)
    return {
        "repeated": _per_cent(repetition(summary)),
        "coverage": _per_cent(coverage(fragments, summary)),
        # No share: characters.
        "density": density(fragments, summary),
        **{f"novel_{size}": _per_cent(novelty(summary, source, size)) for size in _NOVEL_SIZES},
    }


def _counts(claims: Sequence[Claims]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for kind in ("numbers", "dates", "names"):
        said = sum(len(getattr(claim, kind)) for claim in claims)
        invented = sum(len(getattr(claim, f"invented_{kind}")) for claim in claims)
        figures |= {kind: said, f"invented_{kind}": invented}
        figures[f"faithful_{kind}"] = 100 * (said - invented) / said if said else None
    return figures


def _mean(values: Sequence[float | None]) -> float | None:
    measured = [value for value in values if value is not None]
    return float(np.mean(measured)) if measured else None


def _per_cent(share: float | None) -> float | None:
    return None if share is None else 100 * share
