"""What a verification compared and where it found something else. Prints nothing."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

#: Differences that are kept with their details; all are counted.
MOST_KEPT = 1000
#: Characters of a value that are kept.
MOST_CHARS = 500


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the database holds something else than the reference computes."""

    #: `count`, `tokens`, `plan` …: what was compared.
    what: str
    stored: str
    recomputed: str
    #: None for what belongs to the job as a whole.
    shard: int | None = None
    #: The document's key, or empty.
    document: str = ""
    word: str = ""


@dataclass(slots=True)
class Report:
    """The figures of one verification."""

    job: int
    corpus: str
    operation: str
    seed: int
    #: Shards of the job that have results, and those that were to be computed again.
    shards: int
    chosen: int
    #: How many of each kind of thing were compared.
    compared: Counter[str] = field(default_factory=Counter)
    #: How far two scores may be apart, of numbers around 1; 0 where everything must be equal.
    tolerance: float = 0.0
    #: What could not be compared, and why: a source that has changed or is away.
    left_out: list[str] = field(default_factory=list)
    #: The first differences, and the number of all.
    differences: list[Difference] = field(default_factory=list)
    found: int = 0
    standing_dead: int = 0

    def differs(self, what: str, stored: object, recomputed: object, **place: Any) -> None:
        """Note a difference."""
        self.found += 1
        if len(self.differences) < MOST_KEPT:
            self.differences.append(Difference(what, _short(stored), _short(recomputed), **place))

    def compare(self, what: str, stored: object, recomputed: object, **place: Any) -> bool:
        """Count one comparison, note a difference if there is one, and say whether all is well."""
        self.compared[what] += 1
        if stored == recomputed:
            return True
        self.differs(what, stored, recomputed, **place)
        return False

    def as_json(self) -> dict[str, Any]:
        """Return the report for programs."""
        return {**asdict(self), "compared": dict(self.compared)}


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= MOST_CHARS else f"{text[:MOST_CHARS]}…"
