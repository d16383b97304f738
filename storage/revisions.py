"""The revisions of the schema that came with this program, by the names of their files. Opens no database."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path


@lru_cache(maxsize=1)
def known_revisions() -> frozenset[str]:
    """Return the revisions of all steps that came with this program: 0005_progress.py -> 0005."""
    steps = (Path(__file__).parent / "migrations" / "versions").glob("[0-9]*_*.py")
    return frozenset(step.name.partition("_")[0] for step in steps)


def head_revision() -> str:
    """Return the revision that this program works with."""
    return max(known_revisions())
