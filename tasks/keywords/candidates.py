"""Which words may be keywords, by jieba's rule: two characters or more, and no stop word. Weighs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tasks.text.token_filter import TokenFilter

#: The English stop words of `jieba.analyse`; it has no Chinese ones.
STOPWORDS = frozenset(
    [
        *("the", "of", "is", "and", "to", "in", "that", "we", "for", "an", "are", "by", "be", "as", "on", "with"),
        *("can", "if", "from", "which", "you", "it", "this", "then", "at", "have", "all", "not", "one", "has", "or"),
    ]
)
#: Shorter words are no keywords, white space around them not counted.
LEAST_CHARS = 2
#: Words that are remembered, so that each is judged once; some 30 MB at most.
KEPT_WORDS = 200_000


class Candidates(dict[str, bool]):
    """Says of each word whether it may be a keyword, and remembers it.

    A stop word is left out as it is written, and in small letters, in which jieba looks for it. A filter leaves out
    more: by length, by pattern.
    """

    def __init__(self, stopwords: frozenset[str] = frozenset(), kept: TokenFilter | None = None) -> None:
        """Take further stop words, and the filter of a job."""
        super().__init__()
        self._stopwords = STOPWORDS | stopwords
        self._kept = kept

    def __missing__(self, word: str) -> bool:
        """Judge a word that was not met before."""
        if len(self) >= KEPT_WORDS:
            self.clear()
        self[word] = found = self._may_be_keyword(word)
        return found

    def _may_be_keyword(self, word: str) -> bool:
        if len(word.strip()) < LEAST_CHARS or not self._stopwords.isdisjoint((word, word.lower())):
            return False
        return self._kept is None or bool(self._kept.keep([word]))
