"""Finds texts of one part that stand in another, such as dev texts in the training part. Decides nothing."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def overlapping(texts: Sequence[str], others: Iterable[str]) -> list[int]:
    """Return the places of the texts that others are too, after NFKC, in lower case and without white space.

    >>> overlapping(["今天 天气很好。", "明天呢"], ["今天天气很好。"])
    [0]
    """
    seen = {_plain(other) for other in others}
    return [place for place, text in enumerate(texts) if _plain(text) in seen]


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).lower().split())
