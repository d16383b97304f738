"""Keywords by TextRank: words that stand near many words that do so themselves. Jieba's very words and weights.

Mihalcea and Tarau (2004), "TextRank: Bringing Order into Texts": PageRank over a graph whose nodes are nouns and verbs,
and whose edges count how often two stand in one window. Cuts and tags by the tagger that it is given.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING

from tasks.keywords.tfidf import Weighed

if TYPE_CHECKING:
    from tasks.keywords.candidates import Candidates
    from tasks.keywords.pos_tagger import PosTagger

#: The parts of speech of keywords: place names, nouns, nouns made of verbs, verbs.
TAGS = frozenset(("ns", "n", "vn", "v"))
#: Tokens of a window.
WINDOW = 5
#: How often the ranks are computed anew; jieba does not look whether they still move.
ROUNDS = 10
#: How much of a rank comes from its neighbours.
DAMPING = 0.85
#: The lowest rank is brought to about a tenth of itself, the highest to 1.
_FLOOR = 10.0

#: How often two words stand in one window, by the pair.
Pairs = dict[tuple[str, str], int]


class TextRankExtractor:
    """The keywords of texts by TextRank, as `jieba.analyse.textrank` has them."""

    def __init__(self, tagger: PosTagger, candidates: Candidates, top: int) -> None:
        """Take what cuts and tags, what chooses, and how many keywords a text has at most."""
        self._tagger = tagger
        self._candidates = candidates
        self._top = top

    def extract(self, texts: Sequence[str]) -> Iterator[list[Weighed]]:
        """Yield the keywords of each text, the weightiest first."""
        for text in texts:
            ranks = rank_words(_pairs(self._nodes(text)))
            yield sorted(ranks.items(), key=itemgetter(1), reverse=True)[: self._top]

    def _nodes(self, text: str) -> list[tuple[int, str]]:
        """Return the words that may be keywords, with their places among all tokens."""
        tokens = enumerate(self._tagger.tag(text))
        return [(place, word) for place, (word, tag) in tokens if tag in TAGS and self._candidates[word]]


def _pairs(nodes: Sequence[tuple[int, str]]) -> Pairs:
    pairs: Pairs = {}
    for at, (place, word) in enumerate(nodes):
        for later_place, later_word in nodes[at + 1 : at + WINDOW]:
            if later_place >= place + WINDOW:
                break
            pairs[word, later_word] = pairs.get((word, later_word), 0) + 1
    return pairs


def rank_words(pairs: Pairs) -> dict[str, float]:
    """Return the rank of every word of a graph, in the order in which they come into it.

    Sums are taken in jieba's order, so that the last digit is its own too.
    """
    edges: dict[str, list[tuple[str, int]]] = {}
    for (one, other), count in pairs.items():
        edges.setdefault(one, []).append((other, count))
        edges.setdefault(other, []).append((one, count))
    if not edges:
        return {}
    ranks = dict.fromkeys(edges, 1.0 / len(edges))
    out = {word: sum((float(count) for _, count in of_word), 0.0) for word, of_word in edges.items()}
    shares = {word: [(near, count / out[near]) for near, count in edges[word]] for word in sorted(edges)}
    for _ in range(ROUNDS):
        for word, of_word in shares.items():
            # Not by sum(), which from Python 3.12 on is more exact than adding one by one.
            near_ranks = 0.0
            for near, share in of_word:
                near_ranks += share * ranks[near]
            ranks[word] = (1 - DAMPING) + DAMPING * near_ranks
    return _unified(ranks)


def _unified(ranks: Mapping[str, float]) -> dict[str, float]:
    low, high = min(ranks.values()) / _FLOOR, max(ranks.values())
    return {word: (rank - low) / (high - low) for word, rank in ranks.items()}
