"""Which tokens are kept: by stop words, by length, by pattern; and which ones show as words. Cuts no text."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from tasks.text.word_list import numbered_lines


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """Keeps a token that is no stop word, is long enough and matches the pattern; as built, it keeps every token.

    `min_length` counts characters (Unicode code points). `pattern` must match the *whole* token: `[a-z]+` keeps `abc`
    and drops `abc1`; write `.*[a-z].*` to find it anywhere. Raises ValueError for a pattern that is none and for a
    negative length.
    """

    stopwords: frozenset[str] = frozenset()
    min_length: int = 0
    pattern: str | None = None
    _matcher: re.Pattern[str] | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        """Check the settings and compile the pattern once."""
        if self.min_length < 0:
            message = f"the shortest length of a token must not be negative, and is {self.min_length}"
            raise ValueError(message)
        if self.pattern is not None:
            object.__setattr__(self, "_matcher", _compile(self.pattern))

    def keep(self, tokens: list[str]) -> list[str]:
        """Return the tokens that stay, in their order; the same list when nothing is to be filtered."""
        if self.stopwords:
            tokens = [token for token in tokens if token not in self.stopwords]
        if self.min_length > 1:  # No token is shorter than one character.
            tokens = [token for token in tokens if len(token) >= self.min_length]
        if self._matcher is not None:
            matches = self._matcher.fullmatch
            tokens = [token for token in tokens if matches(token)]
        return tokens


def parse_stopwords(data: bytes) -> frozenset[str]:
    """Return the stop words of a file: one on a line, UTF-8 with or without a byte order mark, LF or CRLF.

    Blank lines are ignored, white space around a word does not belong to it. Raises `WordListError` naming the line
    that is not UTF-8.
    """
    return frozenset(line for _, line in numbered_lines(data))


def has_letter_digit_or_ideograph(token: str) -> bool:
    r"""Tell words from punctuation, signs and white space: `中国` `A股` `3.5` -> True; `，` `——` `\\n` `😀` -> False.

    Letters and ideographs have Unicode categories L*, digits and other numbers N*.
    """
    return any(unicodedata.category(character)[0] in "LN" for character in token)


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as fault:
        message = f"the pattern {pattern!r} is no regular expression: {fault}"
        raise ValueError(message) from fault
