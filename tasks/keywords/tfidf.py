"""Keywords by TF-IDF: how often a word stands in a text, times how much it tells. Jieba's very words and weights.

Cuts texts by the `Segmenter` that it is given; knows no database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter

from tasks.keywords.candidates import KEPT_WORDS, Candidates
from tasks.keywords.idf_table import IdfTable
from tasks.text.segmenter import Segmenter, split_joined

#: A word and its weight.
Weighed = tuple[str, float]


class TfidfExtractor:
    """The keywords of texts by TF-IDF, `jieba.analyse.extract_tags` with another table and other tokens if you like."""

    def __init__(self, segmenter: Segmenter, candidates: Candidates, idf: IdfTable, top: int) -> None:
        """Take what cuts, what chooses, what weighs, and how many keywords a text has at most."""
        self._segmenter = segmenter
        self._idfs = _Idfs(candidates, idf)
        self._top = top

    def extract(self, texts: Sequence[str]) -> Iterator[list[Weighed]]:
        """Yield the keywords of each text, the weightiest first; of equal weights the one that stands first."""
        if texts:
            for tokens in split_joined(self._segmenter.cut_joined(texts)):
                yield self._weighed(tokens)

    def _weighed(self, tokens: Sequence[str]) -> list[Weighed]:
        idfs = self._idfs
        # In the order in which the words are first met, which decides between equal weights.
        counts = [(word, count) for word, count in Counter(tokens).items() if idfs[word] is not None]
        total = float(sum(count for _, count in counts))
        # In this order of computing, so that the last digit is jieba's too.
        weighed = [(word, count * ((idfs[word] or 0.0) / total)) for word, count in counts]
        return sorted(weighed, key=itemgetter(1), reverse=True)[: self._top]


class _Idfs(dict[str, float | None]):
    """The idf of words, None of those that may be no keyword; asked for once, and remembered."""

    def __init__(self, candidates: Candidates, idf: IdfTable) -> None:
        super().__init__()
        self._candidates = candidates
        self._idf = idf

    def __missing__(self, word: str) -> float | None:
        if len(self) >= KEPT_WORDS:
            self.clear()
        self[word] = found = self._idf.of(word) if self._candidates[word] else None
        return found
