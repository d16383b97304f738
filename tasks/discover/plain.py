"""The windows of texts (see `windows`) by the plainest loop there is, for checking what was counted."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping

from tasks.discover.windows import (
    BOUND_END,
    FIRST_RARE,
    FREE_END,
    IDEOGRAPH_RANGES,
    LAST_RARE,
    Packed,
    point,
    points_of,
)
from tasks.text.characters import BASIC_PLANE

#: A window: its ideographs and right neighbour, then the left one.
Window = tuple[int, ...]


def count_plainly(windows: Counter[Window], text: str, max_length: int) -> int:
    """Add the windows of a text; return how many ideographs it has."""
    symbols = [_symbol(character) for character in text]
    ideographs = 0
    for place, symbol in enumerate(symbols):
        if symbol <= BOUND_END:
            continue
        ideographs += 1
        window: list[int] = []
        for following in symbols[place : place + max_length + 1]:
            window.append(following)
            if following <= BOUND_END:
                break
        window += [FREE_END] * (max_length + 1 - len(window))
        window.append(symbols[place - 1] if place else FREE_END)
        windows[tuple(window)] += 1
    return ideographs


def _symbol(character: str) -> int:
    number = ord(character)
    ranges = (*IDEOGRAPH_RANGES, (FIRST_RARE, LAST_RARE))
    if any(first <= number <= last for first, last in ranges):
        return number
    is_bound = number < BASIC_PLANE and unicodedata.category(character)[0] in "LN"
    return BOUND_END if is_bound else FREE_END


def unpacked(packed: Packed, max_length: int) -> Mapping[Window, int]:
    """Return packed windows as the plain loop counts them."""
    columns, counts = packed
    points = (point(columns, place).tolist() for place in range(points_of(max_length)))
    return dict(zip(zip(*points, strict=True), counts.tolist(), strict=True))
