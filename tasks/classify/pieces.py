"""Cuts a text into pieces: a Chinese character, a Latin word, a short number or a sign each. Knows no vocabulary.

Long numbers become their length: what an amount is worth tells less than that it stands there, and how large it is.
"""

from __future__ import annotations

import re

#: Characters of a text that a classifier reads; what comes after them does not count.
MAX_CHARACTERS = 20_000
#: Digits up to which a number stands for itself.
SHORT_NUMBER = 2
#: Digits from which on numbers are all the same.
LONGEST_NUMBER = 9
_PIECE = re.compile(r"[a-z]+|[0-9]+|\S")


def pieces(text: str) -> list[str]:
    """Return the pieces of the beginning of a text, in lower case.

    >>> pieces("支付 16000元，A4 Linux")
    ['支', '付', '#5', '元', '，', 'a', '4', 'linux']
    """
    return [_shortened(piece) for piece in _PIECE.findall(text[:MAX_CHARACTERS].lower())]


def _shortened(piece: str) -> str:
    if len(piece) > SHORT_NUMBER and "0" <= piece[0] <= "9":
        return f"#{min(len(piece), LONGEST_NUMBER)}"
    return piece


def n_grams(sequence: list[str], longest: int) -> list[str]:
    """Return all stretches of 1 to `longest` pieces, joined."""
    found = list(sequence)
    for size in range(2, longest + 1):
        found.extend(map("".join, zip(*(sequence[start:] for start in range(size)), strict=False)))
    return found
