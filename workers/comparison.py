"""Compares the words of two corpora by their current counts. Prints nothing and writes no file."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from storage.compared_counts import CountedCorpus, PairedCounts, published_fingerprints, side_by_side, word_totals
from storage.engine import Connection
from storage.errors import UsageError
from storage.sorted_runs import sorted_rows
from tasks.text.keyness import Divergence, bayes_factor, log_likelihood, log_ratio, p_value
from tasks.text.token_filter import has_letter_digit_or_ideograph

#: The options of `count` that decide what a token is; counts that differ in one of them count different things.
TOKEN_OPTIONS = {
    "mode": "--mode",
    "hmm": "--hmm",
    "user_dict": "--user-dict",
    "stopwords": "--stopwords",
    "min_length": "--min-length",
    "pattern": "--pattern",
}


class KeyWord(NamedTuple):
    """One word of two corpora. A positive log ratio means that it is more frequent in the first."""

    word: str
    count_a: int
    per_million_a: float
    count_b: int
    per_million_b: float
    log_likelihood: float
    log_ratio: float
    bic: float
    p: float
    documents_a: int
    documents_b: int


#: Which words are wanted, by name.
WANTED: Mapping[str, Callable[[KeyWord], bool]] = {
    "all": lambda _: True,
    "shared": lambda row: bool(row.count_a and row.count_b),
    "only-a": lambda row: not row.count_b,
    "only-b": lambda row: not row.count_a,
    "more-a": lambda row: row.log_ratio > 0,
    "more-b": lambda row: row.log_ratio < 0,
}
#: What words are sorted by; the largest first, words themselves in code point order.
ORDERS: Mapping[str, Callable[[KeyWord], Any]] = {
    "log_likelihood": lambda row: (-row.log_likelihood, row.word),
    "log_ratio": lambda row: (-abs(row.log_ratio), -row.log_likelihood, row.word),
    "count_a": lambda row: (-row.count_a, row.word),
    "count_b": lambda row: (-row.count_b, row.word),
    "word": lambda row: row.word,
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Which words a comparison yields, and how many of them in which order."""

    wanted: str = "all"
    order: str = "log_likelihood"
    #: All of them when None.
    limit: int | None = None
    #: Occurrences in both corpora together, at least.
    min_count: int = 1
    #: Documents of both corpora together, at least.
    min_documents: int = 1
    min_bic: float | None = None

    def takes(self, row: KeyWord) -> bool:
        """Say whether a word is one of them."""
        return (
            row.count_a + row.count_b >= self.min_count
            and row.documents_a + row.documents_b >= self.min_documents
            and (self.min_bic is None or row.bic >= self.min_bic)
            and WANTED[self.wanted](row)
        )


@dataclass(slots=True)
class Side:
    """What one corpus has: tokens are counted each time, words once. All but the tokens is known after a reading."""

    corpus: str
    fingerprint: str
    tokens: int
    words: int = 0
    own_words: int = 0
    #: How many of its tokens are words that the other one has too.
    shared_tokens: int = 0


class Comparison:
    """Two corpora's words side by side."""

    def __init__(
        self, connection: Connection, of_a: CountedCorpus, of_b: CountedCorpus, *, everything: bool = False
    ) -> None:
        """Add up the tokens of both corpora; raises `UsageError` when one of them has none.

        Tokens with no letter, digit or ideograph are left out, of the sums too, unless `everything` is wanted.
        """
        self._connection = connection
        self._generations = (of_a.generation_id, of_b.generation_id)
        self._keeps = _keeps_any if everything else has_letter_digit_or_ideograph
        self.a, self.b = (Side(one.corpus, one.fingerprint, self._tokens_of(one)) for one in (of_a, of_b))
        self._divergence = Divergence(self.a.tokens, self.b.tokens)

    def _tokens_of(self, counted: CountedCorpus) -> int:
        rows = word_totals(self._connection, counted.generation_id)
        tokens = sum(count for word, count in rows if self._keeps(word))
        if not tokens:
            message = f"the counts of corpus {counted.corpus} hold no word to compare"
            raise UsageError(message)
        return tokens

    @property
    def shared_words(self) -> int:
        """Words that both have."""
        return self.a.words - self.a.own_words

    @property
    def jaccard(self) -> float:
        """Shared words as a part of all (Jaccard's index): 1 when both have the same ones, however often."""
        return self.shared_words / (self.a.words + self.b.own_words)

    @property
    def divergence(self) -> float:
        """The Jensen-Shannon divergence, from 0 (all words as frequent in both) to 1 (none in common)."""
        return self._divergence.bits

    def key_words(self, choice: Choice) -> Iterator[KeyWord]:
        """Yield the words that are wanted in their order; memory is bounded, however many there are.

        To be called once; with the last word, what both corpora have in common is known.
        """
        chosen = (row for row in map(self._judged, self._tallied()) if choice.takes(row))
        order = ORDERS[choice.order]
        if choice.limit is not None:
            yield from heapq.nsmallest(choice.limit, chosen, key=order)
        elif choice.order == "word":
            yield from chosen
        else:
            yield from map(KeyWord._make, sorted_rows(map(tuple, chosen), lambda row: order(KeyWord._make(row))))

    def _tallied(self) -> Iterator[PairedCounts]:
        for row in side_by_side(self._connection, *self._generations):
            if not self._keeps(row.word):
                continue
            _tally(self.a, row.count_a, row.count_b)
            _tally(self.b, row.count_b, row.count_a)
            self._divergence.add(row.count_a, row.count_b)
            yield row

    def _judged(self, row: PairedCounts) -> KeyWord:
        sizes = (self.a.tokens, self.b.tokens)
        likelihood = log_likelihood(row.count_a, row.count_b, *sizes)
        return KeyWord(
            row.word,
            row.count_a,
            row.count_a * 1e6 / self.a.tokens,
            row.count_b,
            row.count_b * 1e6 / self.b.tokens,
            likelihood,
            log_ratio(row.count_a, row.count_b, *sizes),
            bayes_factor(likelihood, sum(sizes)),
            p_value(likelihood),
            row.documents_a,
            row.documents_b,
        )


def _keeps_any(_: str) -> bool:
    return True


def _tally(side: Side, count: int, other: int) -> None:
    if not count:
        return
    side.words += 1
    if other:
        side.shared_tokens += count
    else:
        side.own_words += 1


def require_same_tokens(connection: Connection, of_a: CountedCorpus, of_b: CountedCorpus) -> None:
    """Raise `UsageError` unless both corpora were cut alike, for then their counts say how the texts differ."""
    difference = token_difference(of_a, of_b)
    if difference is None:
        return
    common = published_fingerprints(connection, of_a.corpus) & published_fingerprints(connection, of_b.corpus)
    remedy = (
        f"both have counts of fingerprint {min(common)}: --fingerprint {min(common)[:8]} takes those"
        if common
        else f"count one of them again with the other's options (`hanmill run … --corpus {of_b.corpus} --do count`)"
    )
    message = f"{difference}; their counts are of different tokens. {remedy[0].upper()}{remedy[1:]}, or --force"
    raise UsageError(message)


def token_difference(of_a: CountedCorpus, of_b: CountedCorpus) -> str | None:
    """Return how the tokens of two corpora differ, as the beginning of a sentence; None when they do not."""
    if of_a.fingerprint == of_b.fingerprint:
        return None
    different = [name for name in TOKEN_OPTIONS if of_a.parameters.get(name) != of_b.parameters.get(name)]
    if different:
        shown = ", ".join(f"{_shown(of_a, name)} here and {_shown(of_b, name)} there" for name in different)
        return f"{of_a.corpus} and {of_b.corpus} were not counted alike: {shown}"
    if of_a.parameters == of_b.parameters:
        return f"{of_a.corpus} and {of_b.corpus} were cut by different versions of the program or its dictionary"
    return None


def _shown(counted: CountedCorpus, name: str) -> str:
    value = counted.parameters.get(name)
    option = TOKEN_OPTIONS[name]
    if name == "hmm":
        return option if value else "--no-hmm"
    if not value:
        return f"no {option}"
    # Files are kept by their digests.
    return f"{option} {value[:8] if name in {'user_dict', 'stopwords'} else value}"
