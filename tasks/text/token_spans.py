"""Tokens as places in their text: where each begins and how many characters it has, in arrays."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


def codes_of(text: str) -> Any:
    """Return the characters of a text as an array of code points, with a space more before and after them.

    Raises UnicodeEncodeError for half a surrogate pair.
    """
    return np.frombuffer(f" {text} ".encode("utf-32-le"), "<u4")


class TokenSpans(NamedTuple):
    """Where tokens begin in a text, and their lengths in characters."""

    starts: Any
    lengths: Any


class CutText(NamedTuple):
    """A text and its tokens, which make up the whole of it."""

    text: str
    #: `codes_of` the text.
    codes: Any
    tokens: TokenSpans

    @classmethod
    def of(cls, text: str, codes: Any, lengths: Any) -> CutText:
        """Return a text with its tokens, given by their lengths."""
        return cls(text, codes, TokenSpans(np.cumsum(lengths) - lengths, lengths))


class TokenChanges(NamedTuple):
    """Spans in the place of tokens: of those from `firsts` to before `lasts`, of none where these are equal."""

    firsts: Any
    lasts: Any
    spans: TokenSpans

    def and_also(self, others: TokenChanges) -> TokenChanges:
        """Return both changes; none may change what another does."""
        spans = TokenSpans(*map(np.concatenate, zip(self.spans, others.spans, strict=True)))
        firsts, lasts = np.concatenate([self.firsts, others.firsts]), np.concatenate([self.lasts, others.lasts])
        return TokenChanges(firsts, lasts, spans)

    def in_list(self, text: str, tokens: list[str]) -> list[str]:
        """Return the tokens of a text with the changes made."""
        order = np.argsort(self.spans.starts)
        columns = (self.firsts, self.lasts, self.spans.starts, self.spans.starts + self.spans.lengths)
        changed: list[str] = []
        copied = 0
        for first, last, start, end in zip(*(column[order].tolist() for column in columns), strict=True):
            changed += tokens[copied:first]
            changed.append(text[start:end])
            copied = last
        changed += tokens[copied:]
        return changed

    def in_spans(self, tokens: TokenSpans) -> TokenSpans:
        """Return the tokens with the changes made, in no order."""
        count = len(tokens.starts) + 1
        # Of every token, how many changes begin up to it less those that end: 0 outside of all.
        depth = np.cumsum(np.bincount(self.firsts, minlength=count) - np.bincount(self.lasts, minlength=count))
        keep = depth[:-1] == 0
        return TokenSpans(
            np.concatenate([tokens.starts[keep], self.spans.starts]),
            np.concatenate([tokens.lengths[keep], self.spans.lengths]),
        )
