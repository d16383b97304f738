"""Finds a word in the texts of a corpus, each time with what stands around it. Prints nothing.

Every text is read, few are cut: only those that hold the word's characters, and of these only such whose tokens are not
in the database.
"""

from __future__ import annotations

import heapq
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol

from storage import repeats
from storage.corpus_texts import CorpusText
from storage.document_results import complete_fingerprints
from storage.documents import text_sha256
from storage.engine import Connection, reading
from storage.errors import UsageError
from storage.verification import stored_tokens
from tasks.operation import Workplace
from tasks.segmentation import segmentation_parameters, segmenter_for, token_filter_for
from tasks.text.segmenter import split_joined
from tasks.text.token_places import places_in_full, places_in_search, places_of

#: Texts that hold the word's characters are looked through together when they have so many characters, …
BATCH_CHARACTERS = 200_000
#: … or when they are so many.
BATCH_TEXTS = 200

#: Where a word stands: its first character, and the one after its last.
Span = tuple[int, int]


class Line(NamedTuple):
    """One place of a word; `position` counts characters of the text from 0."""

    key: str
    position: int
    left: str
    word: str
    right: str


class Matcher(Protocol):
    """What is looked for."""

    def may_hold(self, text: str) -> bool:
        """Say quickly whether a text is worth a look."""
        ...

    def spans(self, texts: Sequence[str]) -> Iterable[Sequence[Span]]:
        """Return, for each text, where it stands."""
        ...


class PatternMatcher:
    """A regular expression, or a string, wherever it stands; places do not overlap."""

    def __init__(self, pattern: str, *, is_regex: bool) -> None:
        """Raise `UsageError` for a pattern that is none."""
        try:
            self._pattern = re.compile(pattern if is_regex else re.escape(pattern))
        except (re.error, RecursionError, OverflowError) as error:
            message = f"{pattern!r} is no regular expression: {error}"
            raise UsageError(message) from error

    def may_hold(self, text: str) -> bool:
        """Look for the first place."""
        return self._pattern.search(text) is not None

    def spans(self, texts: Sequence[str]) -> Iterator[Sequence[Span]]:
        """Return all places that are not empty."""
        return ([found.span() for found in self._pattern.finditer(text) if found[0]] for text in texts)


@dataclass(frozen=True, slots=True)
class Cutting:
    """By which options texts are cut, and the fingerprint of results that have their tokens, if there are any."""

    parameters: Mapping[str, Any]
    tokens_fingerprint: str | None = None

    @property
    def skips(self) -> str | None:
        """For what one document was counted, `near` or `exact`; None when all were."""
        mode: str | None = self.parameters.get(repeats.PARAMETER)
        return mode


def cutting_of(connection: Connection, corpus_id: int, fingerprint: str | None = None) -> Cutting | None:
    """Return how a corpus was cut: into tokens if it was, else for counting, by the newest finished job.

    A fingerprint, or its first digits, picks another. None where neither was done.
    """
    for operation in ("tokenize", "count"):
        for found, parameters in complete_fingerprints(connection, corpus_id, operation).items():
            if fingerprint is None or found.startswith(fingerprint):
                return Cutting(parameters, found if operation == "tokenize" else None)
    return None


def default_cutting() -> Cutting:
    """Return how a corpus is cut where nobody said otherwise."""
    return Cutting(segmentation_parameters({}, lambda _: ""))


class TokenMatcher:
    """A word where it is a token of its own."""

    def __init__(self, word: str, cutting: Cutting, workplace: Workplace) -> None:
        self._word = word
        self._workplace = workplace
        self._mode = cutting.parameters["mode"]
        self._segmenter = segmenter_for(cutting.parameters, workplace)
        self._precise = segmenter_for({**cutting.parameters, "mode": "precise"}, workplace)
        self._filter = token_filter_for(cutting.parameters, workplace)
        # Of tokens of which some were left out nobody knows the places.
        self._fingerprint = None if self._filter else cutting.tokens_fingerprint

    @property
    def is_left_out(self) -> bool:
        """Say whether the options (stop words, shortest length, pattern) keep the word out of counts and tokens."""
        return self._filter is not None and not self._filter.keep([self._word])

    def may_hold(self, text: str) -> bool:
        """Look for the characters."""
        return self._word in text

    def spans(self, texts: Sequence[str]) -> Iterator[Sequence[Span]]:
        """Return where the word is a token."""
        length = len(self._word)
        places = map(self._places, texts, self._tokens(texts), self._words(texts))
        return ([(start, start + length) for start in of_text] for of_text in places)

    def _places(self, text: str, tokens: Sequence[str], words: Sequence[str]) -> list[int]:
        if self._mode == "full":
            return places_in_full(self._word, text, tokens)
        if self._mode == "search":
            return places_in_search(self._word, words, tokens)
        return places_of(self._word, tokens)

    def _words(self, texts: Sequence[str]) -> Iterable[Sequence[str]]:
        """Return the tokens of the precise mode, where those of the search mode cannot be placed without."""
        return split_joined(self._precise.cut_joined(texts)) if self._mode == "search" else [()] * len(texts)

    def _tokens(self, texts: Sequence[str]) -> list[Sequence[str]]:
        known = self._stored(texts)
        new = [text for number, text in enumerate(texts) if number not in known]
        cut = split_joined(self._segmenter.cut_joined(new)) if new else iter(())
        return [known[number] if number in known else next(cut) for number in range(len(texts))]

    def _stored(self, texts: Sequence[str]) -> dict[int, list[str]]:
        if self._fingerprint is None:
            return {}
        digests = [text_sha256(text) for text in texts]
        with reading(self._workplace.engine) as connection:
            stored = stored_tokens(connection, self._fingerprint, sorted(set(digests)))
        return {number: stored[digest][1] for number, digest in enumerate(digests) if digest in stored}


@dataclass(slots=True)
class Tally:
    """What a search has found so far."""

    lines: int = 0
    texts: int = 0
    #: Texts that hold the characters of the word, as a token or not.
    looked_at: int = 0


@dataclass(frozen=True, slots=True)
class Search:
    """One search through texts."""

    matcher: Matcher
    #: Characters of context on each side.
    width: int
    tally: Tally = field(default_factory=Tally)

    def lines(self, texts: Iterable[CorpusText]) -> Iterator[Line]:
        """Yield every place, in the order of the texts."""
        for batch in _batches(text for text in texts if self.matcher.may_hold(text.text)):
            self.tally.looked_at += len(batch)
            for text, spans in zip(batch, self.matcher.spans([text.text for text in batch]), strict=True):
                self.tally.texts += bool(spans)
                for span in spans:
                    self.tally.lines += 1
                    yield self._line(text, *span)

    def _line(self, found: CorpusText, start: int, end: int) -> Line:
        text = found.text
        left, right = text[max(0, start - self.width) : start], text[end : end + self.width]
        return Line(found.key, start, left, text[start:end], right)


def _batches(texts: Iterable[CorpusText]) -> Iterator[list[CorpusText]]:
    batch: list[CorpusText] = []
    characters = 0
    for text in texts:
        batch.append(text)
        characters += len(text.text)
        if characters >= BATCH_CHARACTERS or len(batch) == BATCH_TEXTS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


#: By what stands next to the word, then further away; on its left that is read from the word on.
CONTEXTS: Mapping[str, Callable[[Line], Any]] = {
    "left": lambda line: (line.left[::-1], line.right),
    "right": lambda line: (line.right, line.left[::-1]),
}


def chosen(lines: Iterable[Line], order: str, limit: int, seed: int) -> Iterable[Line]:
    """Return at most `limit` lines: the first of the texts, the first by context, or some by chance.

    All but the first of the texts need every line to have come; no more than `limit` are held.
    """
    if order == "random":
        return _drawn(lines, limit, random.Random(seed))  # noqa: S311 - a sample, no secret
    if order in CONTEXTS:
        return heapq.nsmallest(limit, lines, key=CONTEXTS[order])
    return islice(lines, limit)


def _drawn(lines: Iterable[Line], limit: int, chance: random.Random) -> list[Line]:
    """Return lines that were drawn evenly from all, in their order: Vitter's algorithm R (1985)."""
    kept: list[tuple[int, Line]] = []
    for number, line in enumerate(lines):
        if number < limit:
            kept.append((number, line))
        elif (place := chance.randrange(number + 1)) < limit:
            kept[place] = (number, line)
    return [line for _, line in sorted(kept)]
