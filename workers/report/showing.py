"""How a report writes numbers and words: thousands apart, nothing invisible. Knows no page and no plot."""

from __future__ import annotations

import unicodedata

#: What stands for white space that is a token.
_SIGNS = {"\n": "↵", "\r": "␍", "\t": "⇥", "\u3000": "␣␣"}


def visible(word: str) -> str:
    r"""Return a word as it is shown: what nobody would see is named, `a\\u200bb` -> `a⟨U+200B⟩b`.

    Other characters stay, those that are written from right to left too; it is the page that keeps them in their place.
    A space is shown as one unless there is nothing but white space.
    """
    shown = "".join(map(_shown, word))
    return shown.replace(" ", "␣") if word.isspace() else shown


def _shown(character: str) -> str:
    if character == " " or character in _SIGNS:
        return _SIGNS.get(character, character)
    # A token of joiners alone would be an empty cell, and one that turns the direction around would turn the row.
    if unicodedata.category(character)[0] in "ZC":
        return f"⟨U+{ord(character):04X}⟩"
    return character


def whole(number: int) -> str:
    """Return a whole number with its thousands apart: `1,234,567`."""
    return f"{number:,}"


def decimal(number: float, decimals: int = 1) -> str:
    """Return a number with some decimals and a true minus sign: `1,234.5`, `−0.99`."""
    return f"{number:,.{decimals}f}".replace("-", "−")
