"""Where in a text each of its tokens begins. Cuts nothing: the tokens were made by a segmenter, none left out since.

Tokens of the precise mode make up the text. Those of the search mode stand before the word that they are a part of, and
those of the full mode overlap, so that their places follow from how jieba goes along.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

#: What the full mode yields wherever it stands in the text, if it is in the dictionary.
_HAN = re.compile("[\u4e00-\u9fd5]{2,}")


def places_of(word: str, tokens: Sequence[str]) -> list[int]:
    """Return where a word begins as a token of the precise mode: `国`, [`中国`, `国`, `国`] -> [2, 3]."""
    # Most texts have the characters of a frequent word, and not the word.
    if word not in tokens:
        return []
    starts = accumulate(map(len, tokens), initial=0)
    return [start for start, token in zip(starts, tokens, strict=False) if token == word]


def places_in_search(word: str, words: Sequence[str], tokens: Sequence[str]) -> list[int]:
    """Return where a word begins as a token of the search mode; `words` are the same text's of the precise mode.

    Each of those comes after the shorter dictionary words in it, of two characters, then of three.
    """
    found: list[int] = []
    rest = iter(tokens)
    start = 0
    for whole in words:
        found += (start + place for part, place in _parts(whole, rest) if part == word)
        start += len(whole)
    return found


def _parts(whole: str, rest: Iterator[str]) -> Iterator[tuple[str, int]]:
    """Yield the parts of one word with their places in it, and the word; takes them from what is left of the tokens."""
    next_place: dict[int, int] = {}
    for token in rest:
        if token == whole:
            yield token, 0
            return
        # Those of one length come from left to right, each as often as it stands there.
        place = whole.find(token, next_place.get(len(token), 0))
        if place < 0:
            message = f"the token {token!r} is no part of {whole!r}: these are not tokens of one text"
            raise ValueError(message)
        next_place[len(token)] = place + 1
        yield token, place


def places_in_full(word: str, text: str, tokens: Sequence[str]) -> list[int]:
    """Return where a word begins as a token of the full mode: `国`, `中国国`, [`中国`, `国`] -> [2].

    As many places as there are such tokens. Which ones is exact where the text has no more of them, and for words of
    ideographs alone; a run of Latin letters, which jieba yields late, may be shown where it stands inside another one.
    A token that is nowhere in the text, as jieba makes of letters around a dictionary word, has no place.
    """
    wanted = tokens.count(word)
    everywhere = _everywhere(word, text)
    if len(everywhere) <= wanted:
        return everywhere
    aligned = _aligned(word, text, tokens)
    return aligned if len(aligned) == wanted else everywhere[:wanted]


def _everywhere(word: str, text: str) -> list[int]:
    found = []
    start = text.find(word)
    while start >= 0:
        found.append(start)
        start = text.find(word, start + 1)
    return found


def _aligned(word: str, text: str, tokens: Sequence[str]) -> list[int]:
    """Return the places of a word, found by going through the text as jieba does."""
    found: list[int] = []
    start, end = 0, 0
    for token in filter(None, tokens):
        if _HAN.fullmatch(token):
            # Every one of the dictionary is yielded; from one place, the longer after the shorter.
            place = text.find(token, start if len(token) > end - start else start + 1)
        else:
            # What was not looked up, or stands alone, begins after the token before it.
            place = text.find(token, end)
        if place >= 0:
            start, end = place, place + len(token)
            if token == word:
                found.append(place)
    return found
