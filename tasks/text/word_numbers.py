"""Numbers in the place of words, so that tokens can be counted and compared on arrays."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tasks.text.token_spans import TokenSpans

#: Stands between the tokens of two texts. No document holds it, and every engine lets it stand alone.
SEPARATOR = "\0"

#: Words of so many characters at most, none beyond U+FFFF, are two numbers of 64 bits themselves.
KEY_CHARS = 8
_CHARS_A_HALF = 4
_CHAR_BITS = 16
#: Places for such words, of which the frequent ones are met first: 6 MB.
_PLACE_BITS = 18
#: 2⁶⁴ divided by the golden ratio, made odd: multiplied by it, near keys come to places far apart (Knuth, The Art of
#: Computer Programming 3, section 6.4). The other is its square.
_SPREADS = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0x9E3779B97F4A7C15**2 % 2**64))


class NumberedTokens(NamedTuple):
    """The tokens of some texts, in no order: for each the number of its word, and of its text, from 0."""

    words: Any
    texts: Any


class WordNumbers(dict[str, int]):
    """Numbers words in the order in which they are first met; 0 is `SEPARATOR`, which is no word.

    Beside it stands a table without chains, of words by their characters: it answers for whole arrays of tokens at
    once. A word whose place is taken by another is asked for as a string every time.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        """Begin with some words, each once."""
        super().__init__()
        #: The words by their numbers.
        self.words: list[str] = []
        for word in (SEPARATOR, *words):
            self.__missing__(word)
        self._keys = np.zeros((2, 1 << _PLACE_BITS), np.uint64)
        self._numbers = np.zeros(1 << _PLACE_BITS, np.int64)

    def __missing__(self, word: str) -> int:
        """Give the next number to a word that was not met before."""
        self[word] = number = len(self)
        self.words.append(word)
        return number

    def of(self, tokens: Sequence[str]) -> Any:
        """Return the numbers of tokens, as an array."""
        return np.fromiter(map(self.__getitem__, tokens), np.int64, len(tokens))

    def of_spans(self, text: str, codes: Any, spans: TokenSpans) -> Any:
        """Return the numbers of the tokens that stand at some places of a text; `codes` are `codes_of` it."""
        low, high = _keys_of(codes, spans)
        places = (low * _SPREADS[0] ^ high * _SPREADS[1]) >> np.uint64(64 - _PLACE_BITS)
        is_met = (self._keys[0][places] == low) & (self._keys[1][places] == high)
        numbers = np.where(is_met, self._numbers[places], 0)
        # An empty place has no number, nor has the key of what has none.
        unknown = np.flatnonzero(numbers == 0)
        starts = spans.starts[unknown]
        ends = starts + spans.lengths[unknown]
        numbers[unknown] = self.of([text[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)])
        new = unknown[(low[unknown] != 0) & (self._numbers[places[unknown]] == 0)]
        # Of several for one place the last comes to stand there, in all columns.
        self._keys[0][places[new]], self._keys[1][places[new]] = low[new], high[new]
        self._numbers[places[new]] = numbers[new]
        return numbers


def _keys_of(codes: Any, spans: TokenSpans) -> tuple[Any, Any]:
    """Return the characters of each token as two numbers, both 0 where they have no room there."""
    # A place in `codes` is one more than in the text.
    begins = spans.starts + 1
    halves = codes[begins].astype(np.uint64), np.zeros(len(begins), np.uint64)
    longer = np.flatnonzero((spans.lengths > 1) & (spans.lengths <= KEY_CHARS))
    for at in range(1, KEY_CHARS):
        chars = codes[begins[longer] + at].astype(np.uint64)
        halves[at // _CHARS_A_HALF][longer] |= chars << np.uint64(at % _CHARS_A_HALF * _CHAR_BITS)
        longer = longer[spans.lengths[longer] > at + 1]
    has_no_room = spans.lengths > KEY_CHARS
    is_beyond = codes >> _CHAR_BITS != 0
    if is_beyond.any():
        beyond = np.cumsum(is_beyond)
        has_no_room |= beyond[begins + spans.lengths - 1] != beyond[begins - 1]
    for half in halves:
        half[has_no_room] = 0
    return halves


def by_text(numbers: Any) -> NumberedTokens:
    """Return the numbers of the tokens of texts that stand one after the other, with `SEPARATOR` between them."""
    is_word = numbers != 0
    texts = np.cumsum(~is_word)
    return NumberedTokens(numbers[is_word], texts[is_word])
