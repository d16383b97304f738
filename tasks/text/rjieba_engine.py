"""jieba-rs behind the `Segmenter` interface, made to give jieba's very tokens.

jieba-rs alone is not identical (0.3 % of the tokens of news differ). What it finds by its dictionary is, where a block
holds only Han characters; so words are guessed here (`guessing`), runs of Latin characters are cut again by jieba's
rule, and blocks that hold a dictionary word with Latin characters, a deleted word, or an ideograph that jieba does not
know are given to jieba itself. Knows no full mode.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata, util
from itertools import chain
from typing import Any

import numpy as np

from tasks.text.fast_vocabulary import FastVocabulary
from tasks.text.guessing import Guesser
from tasks.text.jieba_engine import JiebaSegmenter
from tasks.text.latin_runs import TOKENS_OF_RUN
from tasks.text.odd_places import OddPlaces
from tasks.text.token_spans import CutText, TokenChanges, TokenSpans, codes_of
from tasks.text.word_numbers import SEPARATOR, NumberedTokens, WordNumbers, by_text

#: The version whose tokens were compared with jieba's, on every text of the benchmarks and on hostile alphabets.
PROVEN_VERSION = "0.2.2"
#: The engine is given no more than this at once where texts are joined: tokens are looked at again while they are still
#: in the processor's cache.
STRETCH_CHARS = 4_000


def installed_version() -> str | None:
    """Return the version of rjieba that is installed, None without it; imports nothing."""
    return metadata.version("rjieba") if util.find_spec("rjieba") is not None else None


def is_proven() -> bool:
    """Say whether the installed rjieba is the one whose tokens are known to be jieba's."""
    return installed_version() == PROVEN_VERSION


class FastSegmenter:
    """One vocabulary in precise or search mode. Several may live in one process and share a vocabulary."""

    def __init__(self, identity: Mapping[str, str], vocabulary: FastVocabulary, mode: str, *, hmm: bool) -> None:
        """Choose the way of the mode; `identity` is what `segmenter_identity` says of it."""
        self.identity = identity
        self._reference = JiebaSegmenter(identity, vocabulary.jieba, "precise", hmm=hmm)
        self._engine_cut = vocabulary.engine.cut
        self._place_finder = vocabulary.place_finder
        self._guesser = Guesser(vocabulary.has_word) if hmm else None
        self._tokens_of_run = TOKENS_OF_RUN[hmm].findall
        self._inner_words = _InnerWords(vocabulary.jieba.tokenizer.FREQ) if mode == "search" else None

    def cut(self, text: str) -> list[str]:
        """Return the tokens of a text, in jieba's order."""
        try:
            tokens = self._cut(text)
        except UnicodeEncodeError:
            # Half a surrogate pair: Python can hold it, Rust cannot.
            tokens = self._reference.cut(text)
        if self._inner_words is None:
            return tokens
        return list(chain.from_iterable(map(self._inner_words.__getitem__, tokens)))

    def cut_joined(self, texts: Sequence[str]) -> list[str]:
        """Return the tokens of all texts, `SEPARATOR` between one and the next; no text may hold it."""
        return self.cut(SEPARATOR.join(texts))

    def cut_numbered(self, texts: Sequence[str], numbers: WordNumbers) -> NumberedTokens:
        """Return the tokens of all texts by the numbers of their words, in no order; no text may hold `SEPARATOR`."""
        if self._inner_words is None:
            try:
                return self._cut_numbered(SEPARATOR.join(texts), numbers)
            except UnicodeEncodeError:
                pass
        return by_text(numbers.of(self.cut_joined(texts)))

    def _cut(self, text: str) -> list[str]:
        codes = codes_of(text)
        places = self._place_finder.find(text, codes)
        tokens: list[str] = []
        done: list[tuple[int, int]] = []
        for piece, is_done in self._pieces(text, places.hard_blocks):
            if is_done:
                done.append((len(tokens), len(tokens) + len(piece)))
            tokens += piece
        cut = CutText.of(text, codes, _lengths_of(tokens))
        return self._changes(cut, places, done).in_list(text, tokens)

    def _cut_numbered(self, text: str, numbers: WordNumbers) -> NumberedTokens:
        codes = codes_of(text)
        places = self._place_finder.find(text, codes)
        lengths = [np.zeros(0, np.int64)]
        done: list[tuple[int, int]] = []
        count = 0
        for piece, is_done in self._pieces(text, places.hard_blocks):
            if is_done:
                done.append((count, count + len(piece)))
            # The tokens themselves are forgotten at once: most are words that were met before.
            lengths.append(_lengths_of(piece))
            count += len(piece)
        cut = CutText.of(text, codes, np.concatenate(lengths))
        spans = self._changes(cut, places, done).in_spans(cut.tokens)
        is_separator = codes == 0
        words = np.flatnonzero(~is_separator[spans.starts + 1])
        spans = TokenSpans(spans.starts[words], spans.lengths[words])
        return NumberedTokens(numbers.of_spans(text, codes, spans), np.cumsum(is_separator)[spans.starts + 1])

    def _pieces(self, text: str, hard_blocks: Iterable[tuple[int, int]]) -> Iterator[tuple[list[str], bool]]:
        """Yield the tokens of a text by the dictionary alone, and whether they are jieba's own."""
        done = 0
        for start, end in hard_blocks:
            yield from self._stretches(text, done, start)
            yield self._reference.cut(text[start:end]), True
            done = end
        yield from self._stretches(text, done, len(text))

    def _stretches(self, text: str, start: int, end: int) -> Iterator[tuple[list[str], bool]]:
        while start < end:
            between = text.find(SEPARATOR, start + STRETCH_CHARS, end)
            stop = end if between < 0 else between
            yield self._engine_cut(text[start:stop], False), False  # noqa: FBT003 - takes no keyword
            start = stop

    def _changes(self, cut: CutText, places: OddPlaces, done: Sequence[tuple[int, int]]) -> TokenChanges:
        """Return what stands otherwise in jieba's tokens: its runs of Latin characters, and the words it guesses."""
        latin = self._latin_changes(cut, places)
        return latin if self._guesser is None else latin.and_also(self._guesser.changes(cut, done))

    def _latin_changes(self, cut: CutText, places: OddPlaces) -> TokenChanges:
        run_spans = zip(places.run_starts.tolist(), places.run_ends.tolist(), strict=True)
        lengths = [[*map(len, self._tokens_of_run(cut.text, *span))] for span in run_spans]
        flat = np.array([length for of_run in lengths for length in of_run], np.int64)
        counts = np.array([*map(len, lengths)], np.int64)
        before = np.cumsum(counts) - counts
        ends = np.cumsum(flat)
        # What a run's tokens have before them of all runs' tokens, and of the text.
        starts = ends - flat + np.repeat(places.run_starts - (ends - flat)[before], counts)
        # The first takes the place of the run's tokens, the others of none.
        lasts = np.repeat(np.searchsorted(cut.tokens.starts, places.run_ends), counts)
        firsts = lasts.copy()
        firsts[before] = np.searchsorted(cut.tokens.starts, places.run_starts)
        return TokenChanges(firsts, lasts, TokenSpans(starts, flat))


def _lengths_of(tokens: Sequence[str]) -> Any:
    return np.fromiter(map(len, tokens), np.int64, len(tokens))


class _InnerWords(dict[str, tuple[str, ...]]):
    """What search mode gives for a token: its two- and three-character words that the dictionary has, then itself."""

    def __init__(self, frequencies: Mapping[str, int]) -> None:
        super().__init__()
        self._frequencies = frequencies

    def __missing__(self, token: str) -> tuple[str, ...]:
        inner = [*self._inner(token, 2), *self._inner(token, 3)]
        self[token] = expansion = (*inner, token)
        return expansion

    def _inner(self, token: str, length: int) -> Iterable[str]:
        if len(token) <= length:
            return ()
        parts = (token[start : start + length] for start in range(len(token) - length + 1))
        return [part for part in parts if self._frequencies.get(part)]
